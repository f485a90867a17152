"""`Model`: a network with its weights, and the verbs a user calls beside those of `Predictor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pvzoo import about
from pvzoo.adapters.base import Adapter
from pvzoo.catalog.cards import Card
from pvzoo.display import table
from pvzoo.errors import UnsupportedModelError
from pvzoo.extras import needs
from pvzoo.plugins import registry
from pvzoo.predictor import Predictor
from pvzoo.results.several import R
from pvzoo.runtimes.base import Runtime

if TYPE_CHECKING:
    import gradio
    from transformers import TrainerCallback

    from pvzoo.export.certificate import Certificate
    from pvzoo.networks.base import Network
    from pvzoo.training.report import TrainingReport


class Model(Predictor[R]):
    """A loaded model; `pvzoo.load` makes one.

    Attributes:
        name: Its catalogue name, Hub repo id or folder.
        adapter: Knows what the network's inputs and outputs mean.
        network: The network with its weights, whose ``module`` is the `torch.nn.Module`; None for
            an adapter that computes itself.
        runtime: Runs the network on its device.
        card: Its catalogue entry, if it was loaded by catalogue name.
        report: How it was fine-tuned, if `fine_tune` made it.
    """

    def __init__(
        self,
        name: str,
        adapter: Adapter,
        network: Network | None = None,
        *,
        card: Card | None = None,
        runtime: str | Runtime | None = None,
        device: Any = None,
        device_map: Any = None,
        report: TrainingReport | None = None,
    ) -> None:
        """A model of its parts; ``runtime``, ``device`` and ``device_map`` as for `pvzoo.load`.

        Raises:
            DeviceError: The device is not here or too small.
            UsageError: The runtime cannot run it.
        """
        if isinstance(runtime, Runtime):
            running = runtime
        else:
            runtime_class = registry.get("runtimes", runtime or ("torch" if network else "numpy"))
            running = runtime_class(adapter, network, device=device, device_map=device_map)
        super().__init__(name, adapter, running)
        self.network = network
        self.card = card
        self.report = report

    @property
    def device(self) -> Any:
        """Where the network's inputs go."""
        return self.runtime.device

    @property
    def dtype(self) -> Any:
        """The type the network computes in."""
        return self.runtime.dtype

    def __repr__(self) -> str:
        return (
            f"<pvzoo.Model {self.name!r}: {self.task}, {len(self.labels)} classes, {self.device}>"
        )

    def _repr_html_(self) -> str:
        return table((), about.lines(self))

    def fine_tune(
        self,
        train: Any,
        eval: Any = None,
        *,
        epochs: int,
        output_dir: str | Path,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float | Mapping[str, float] | None = None,
        freeze: Literal["backbone"] | None = None,
        augment: bool | Callable[..., Any] = True,
        image_size: int | None = None,
        early_stopping: int | None = None,
        seed: int = 0,
        resume: bool = True,
        lora: int | Mapping[str, Any] | None = None,
        report_to: str | list[str] | None = None,
        push_to_hub: str | None = None,
        trainer_args: Mapping[str, Any] | None = None,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> Model[R]:
        """A new model, trained further on labelled data; this one stays as it is.

        The classes become those of the data; what the network knows of classes with the same name
        is kept. The data is checked first (`pvzoo.data.check`): errors stop the run before it
        begins. Under ``accelerate launch`` or ``torchrun`` all processes train one model.

        A run that was killed goes on from its last whole checkpoint when the same call is made
        again, and ends with the weights it would have had.

        Args:
            train: Whatever `pvzoo.data.load` takes. Of data with splits, "train" is trained on
                and "validation", if there is one, evaluated.
            eval: What to evaluate on at the end of every epoch; the weights of the best epoch are
                kept. Without either those of the last are, which is said.
            epochs: How often every image is seen.
            output_dir: A new folder, which gets the tuned model, its report and checkpoints; or
                that of the same call, to go on with it.
            batch_size: Images a step and process; "auto" is 8 on a CPU, and on an accelerator what
                Accelerate finds to fit, from 64 down.
            learning_rate: The highest, of all but the backbone, whose own keeps the proportion of
                its family's recipe (docs/families.md); or a dict, "backbone" and "rest".
            freeze: "backbone" to train the rest only.
            augment: True for the task's own augmentation, False for none, or a function
                (image, target) -> (image, target); see `pvzoo.training.samples`.
            image_size: Side of the square that images are scaled to, in pixels.
            early_stopping: Stop after this many epochs without a better figure.
            seed: Of all random choices.
            resume: Whether to go on with a run that `output_dir` holds; False refuses it.
            lora: Rank of the matrices that are trained instead of the linear layers (LoRA, by
                PEFT), such as 16; they are merged into the layers in the end. Or a dict, arguments
                of `peft.LoraConfig`. The learning rate is ten times the recipe's by default.
            report_to: Where Trainer reports to, such as "tensorboard".
            push_to_hub: A Hub repo that the tuned model is uploaded to in the end.
            trainer_args: Further arguments of `transformers.TrainingArguments`.
            callbacks: Objects that Trainer calls too, in every process. They are no part of the
                run's settings: a call that goes on with it may have others.

        Raises:
            DataError: The data cannot be read, or the check found errors in it.
            UnsupportedModelError: A network of this family cannot be trained.
            TrainingError: A loss or gradient is not a number, `output_dir` is another run's, or a
                checkpoint cannot be written.
        """
        # the arguments by their names, while there are no others; `Options` knows which it takes
        given = {**locals(), "output_dir": Path(output_dir).expanduser()}
        self._refuse_if_exported("fine-tuned")
        needs("Fine-tuning", "torch", "datasets", "matplotlib")
        from pvzoo.processes import processes
        from pvzoo.training.options import Options
        from pvzoo.training.run import fine_tune

        options = Options.of(given)
        adapter, network, report = fine_tune(
            self.network,
            self._task,
            train,
            eval,
            options,
            name=self.name,
            device=self.device,
            callbacks=callbacks,
        )
        home = str(options.output_dir)
        tuned: Model[R] = Model(home, adapter, network, device=self.device, report=report)
        if push_to_hub is not None and processes().is_main_process:
            tuned.push_to_hub(push_to_hub)
        return tuned

    def demo(self, **options: Any) -> gradio.Blocks:
        """Open a page in a browser on which images can be tried; needs ``pvzoo[demo]``.

        Args:
            **options: Of `gradio.Blocks.launch`, such as ``share=True`` or ``server_port=7861``.

        Returns:
            The app, which goes on running where the interpreter does (a notebook, for example).
        """
        from pvzoo.demo import build, launch

        return launch(build([self]), **options)

    @property
    def nbytes(self) -> int:
        """The memory its weights take, in bytes."""
        if self.network is None:
            return 0
        return sum(p.nbytes for p in self.network.module.parameters())

    def save(self, folder: str | Path) -> Path:
        """Write the model to a new folder, which `pvzoo.load` and its own library open.

        With a model card: what it is, how good, trained on what, and how to use it.

        Raises:
            UsageError: The folder is not empty, or cannot be written.
        """
        self._refuse_if_exported("saved; its folder can be copied")
        from pvzoo.hub.publish import save

        folder = Path(folder).expanduser()
        return save(self.network, folder, name=self.name, task=self.task, report=self.report)

    def export(
        self,
        folder: str | Path,
        *,
        runtime: str = "onnxruntime",
        image_size: int | None = None,
        precision: Literal["fp32", "fp16", "int8"] = "fp32",
        max_loss: float = 0.01,
        allow_slower: bool = False,
        data: Any = None,
        progress: Callable[[str, int, int], None] | None = None,
        keep_failed: str | Path | None = None,
        **prompts: Any,
    ) -> Certificate:
        """Write the model to a new folder that runs without PyTorch, once that is proven.

        `pvzoo.load` opens the folder, with the same `predict`, `stream`, `evaluate` and `demo`. It
        holds an ordinary ONNX or OpenVINO file. Before it is handed over, its answers to real
        images are compared with this model's, in the runtime it is for (docs/export.md).

        Args:
            folder: A new one.
            runtime: "onnxruntime" or "openvino", or that of a plugin.
            image_size: Side of the square that images are scaled to, in pixels; None for what the
                network was trained with.
            precision: "fp16" or "int8" for smaller and, where the device gains, faster files. They
                are measured on `data`: int8 is calibrated on its train split.
            max_loss: The largest loss of the task's main metric, in its own unit, that a lower
                precision may have: the upper end of the loss's 95 % interval is held to it.
            allow_slower: Whether int8 may be slower than float32 on this machine; for exports that
                run on another.
            data: Further images to compare with: whatever `stream` takes, or labelled data, by
                which both are then evaluated too.
            progress: Called with what is done, how much of it and how much there is.
            keep_failed: A new folder for the files if they are not proven.
            **prompts: Prompts of the task, such as texts, which the export then has fixed.

        Returns:
            What was compared, and how far apart it was.

        Raises:
            ExportError: It cannot be exported, or the export answers otherwise.
            UsageError: The folder is not empty, or an argument cannot be.
        """
        self._refuse_if_exported("exported again")
        from pvzoo.export.write import export

        return export(
            self.network,
            self._task,
            Path(folder).expanduser(),
            name=self.name,
            license=(self.card.license or "") if self.card else "",
            runtime=runtime,
            image_size=image_size,
            precision=precision,
            max_loss=max_loss,
            allow_slower=allow_slower,
            prompts=prompts,
            data=data,
            progress=progress,
            keep_failed=None if keep_failed is None else Path(keep_failed).expanduser(),
        )

    def push_to_hub(
        self, repo_id: str, *, private: bool | None = None, message: str = "Upload with pvzoo"
    ) -> str:
        """Upload what `save` writes to a repo of the Hub, made if there is none; its address.

        Args:
            repo_id: ``owner/name``.
            private: Whether a new repo is private; None is the owner's default.
            message: Of the commit.

        Raises:
            HubError: The Hub cannot be reached, or refuses.
        """
        self._refuse_if_exported("pushed; its folder can be uploaded")
        from pvzoo.hub.publish import push

        return push(
            self.network,
            repo_id,
            name=self.name,
            task=self.task,
            report=self.report,
            private=private,
            message=message,
        )

    def _refuse_if_exported(self, verb: str) -> None:
        if self.runtime.suffixes:
            raise UnsupportedModelError(
                f"{self.name} was exported, and cannot be {verb}.", "Load the original for that."
            )
