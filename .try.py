import sys,time,warnings
warnings.simplefilter("ignore")
sys.path.insert(0,"tests")
from pathlib import Path
from pvzoo.testing import *
import checkpoints, detection_families, segmentation_families
home=Path("/tmp/workB/.profcks")
def make(name):
    f=home/name
    if f.exists(): return f
    f.mkdir(parents=True)
    if name=="timm": checkpoints.timm_folder(f,"test_resnet",num_classes=7)
    elif name=="vit": checkpoints.transformers_folder(f,"vit",labels=("ant","bee","cat","dog"))
    elif name in detection_families.FAMILIES: detection_families.build(name,f)
    else: segmentation_families.build(name,f)
    return f
for n in sys.argv[1:]:
    n,_,t=n.partition("=")
    s=Subject(make(n),task=t or None)
    t0=time.process_time()
    for r in MODEL_RULES:
        u=time.process_time(); f=judge(r,s)
        if f.state!="kept" or time.process_time()-u>1: print(f.state,f, round(time.process_time()-u,1),flush=True)
    print(n,"total",round(time.process_time()-t0,1),flush=True)
