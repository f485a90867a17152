"""`Model`: a network with its weights; adds training, saving and exporting to `Evaluator`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pvzoo import about
from pvzoo.adapters.base import Adapter
from pvzoo.catalog.cards import Card
from pvzoo.display import table
from pvzoo.errors import UnsupportedModelError
from pvzoo.evaluator import Evaluator
from pvzoo.extras import needs
from pvzoo.plugins import registry
from pvzoo.results.several import R
from pvzoo.runtimes.base import Runtime
from pvzoo.thresholds.values import Thresholds

if TYPE_CHECKING:
    import gradio
    from transformers import TrainerCallback

    from pvzoo.export.certificate import Certificate
    from pvzoo.export.manifest import Manifest
    from pvzoo.networks.base import Network
    from pvzoo.progress import Progress
    from pvzoo.thresholds.choose import Target
    from pvzoo.tiles.geometry import Given
    from pvzoo.training.report import TrainingReport


class Model(Evaluator[R]):
    """A loaded model; `pvzoo.load` makes one.

    Attributes:
        name: Its catalogue name, Hub repo id or folder.
        adapter: Prepares the network's inputs and interprets its outputs.
        network: The network with its weights; its ``module`` is the `torch.nn.Module`. None for
            an adapter that computes results itself.
        runtime: Runs the network on its device.
        card: Its catalogue entry, if it was loaded by its catalogue name.
        report: The report of the training, if `fine_tune` made the model or wrote its folder.
        thresholds: The thresholds that `tune_thresholds` chose, or None.
        manifest: What is known of it from its export; None if it was not exported.
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
        thresholds: Thresholds | None = None,
        manifest: Manifest | None = None,
    ) -> None:
        """Put a model together; ``runtime``, ``device`` and ``device_map`` as for `pvzoo.load`.

        Raises:
            DeviceError: The device does not exist or has too little memory.
            UsageError: The runtime cannot run the model.
        """
        if isinstance(runtime, Runtime):
            running = runtime
        else:
            runtime_class = registry.get("runtimes", runtime or ("torch" if network else "numpy"))
            running = runtime_class(adapter, network, device=device, device_map=device_map)
        super().__init__(name, adapter, running, thresholds)
        self.network = network
        self.card = card
        self.report = report
        self.manifest = manifest

    @property
    def device(self) -> Any:
        """The device of the network's inputs."""
        return self.runtime.device

    @property
    def dtype(self) -> Any:
        """The type in which the network computes."""
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
        """Train on labelled data and return a new model; this model does not change.

        The new model has the classes of the data; weights for classes with the same name are kept.
        The data is checked first (`pvzoo.data.check`): errors stop the run before it begins. Under
        ``accelerate launch`` or ``torchrun``, all processes train one model.

        If a run was killed, the same call continues it from its last complete checkpoint, and ends
        with the weights that the run would have had.

        Args:
            train: Anything that `pvzoo.data.load` takes. If it has splits, the model is trained on
                "train" and, if there is one, evaluated on "validation".
            eval: The data to evaluate on at the end of every epoch; the weights of the best epoch
                are kept. Without evaluation data, the weights of the last epoch are kept, with a
                message.
            epochs: How often every image is seen.
            output_dir: A new folder for the tuned model, its report and checkpoints; or the folder
                of an earlier run of the same call, to continue it.
            batch_size: Images per step and process. "auto" is 8 on a CPU; on an accelerator,
                Accelerate finds the largest size that fits, from 64 down.
            learning_rate: The highest learning rate of everything but the backbone; that of the
                backbone follows in the proportion of its family's recipe (docs/families.md). Or a
                dict with "backbone" and "rest".
            freeze: "backbone" to train everything but the backbone.
            augment: True for the task's own augmentation, False for none, or a function
                (image, target) -> (image, target); see `pvzoo.training.samples`.
            image_size: Side of the square that images are scaled to, in pixels.
            early_stopping: Stop after this many epochs without a better metric.
            seed: Seed of all random choices.
            resume: Whether to continue a run in `output_dir`; False makes such a run an error.
            lora: Rank of the matrices that are trained instead of the linear layers (LoRA, by
                PEFT), such as 16; they are merged into the layers at the end. Or a dict of
                arguments for `peft.LoraConfig`. The default learning rate is ten times the
                recipe's.
            report_to: Where Trainer reports to, such as "tensorboard".
            push_to_hub: A Hub repo to upload the tuned model to at the end.
            trainer_args: Further arguments of `transformers.TrainingArguments`.
            callbacks: Further callbacks for Trainer, called in every process. They do not belong to
                the settings of the run: a call that continues it may have other callbacks.

        Raises:
            DataError: The data cannot be read, or the check found errors in it.
            UnsupportedModelError: A network of this family cannot be trained.
            TrainingError: A loss or gradient is not a number, `output_dir` belongs to another run,
                or a checkpoint cannot be written.
        """
        # all arguments by name: there are no other locals yet; `Options` picks those it needs
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

    def tune_thresholds(
        self,
        data: Any,
        *,
        split: str | None = None,
        target: Target = "f1",
        per_class: bool = True,
        tiles: Given | None = None,
        batch_size: int = 8,
        progress: bool | Progress | None = None,
    ) -> Model[R]:
        """A new model that knows its thresholds, chosen on labelled data; it shares the network.

        `predict` uses them when no ``threshold`` is given. They go with the model to a folder, to
        the Hub and into an export. For a classifier with one class an image they are a temperature,
        by which its scores become honest, and a score below which it is not sure: ``result.sure``.

        The images are split in two halves by chance: thresholds are chosen on one, and
        ``thresholds.figures`` are measured on the other. Take data that the model was not trained
        on, and not the data that you report its quality on.

        Args:
            data: Whatever `pvzoo.data.load` takes.
            split: Which split, for data that has several.
            target: "f1" for the best balance; ``{"precision": 0.95}`` for as many as can be found
                with this precision; ``{"recall": 0.9}`` for as few errors as possible with this
                recall. For a classifier with one class an image ``{"accuracy": 0.95}`` for the
                answers that are sure; with "f1" it is always sure.
            per_class: Whether each class has a threshold of its own. Classes with few examples have
                the common one (``thresholds.fallback`` lists them).
            tiles: As for `predict`, which should be called with the same tiles afterwards.
            batch_size: Most network inputs in one forward pass.
            progress: As for `stream`.

        Raises:
            DataError: The data cannot be read, or is too little.
            UnsupportedModelError: Results of the task have no threshold.
            UsageError: A target that there is not.
        """
        from pvzoo.pipeline import predict as prediction
        from pvzoo.progress import showing
        from pvzoo.thresholds.fitted import fitted_with
        from pvzoo.thresholds.tune import tune

        with showing(progress) as show:
            thresholds = tune(
                prediction.plain_stream(self.adapter, self.runtime, self._task, self.name, tiles),
                self._task,
                self.labels,
                data,
                name=self.name,
                split=split,
                target=target,
                per_class=per_class,
                fitted_with=fitted_with(self.adapter, self._task, self.dtype, tiles),
                batch_size=batch_size,
                progress=show,
            )
        tuned = copy(self)
        tuned.thresholds = thresholds
        return tuned

    def demo(self, **options: Any) -> gradio.Blocks:
        """Open a page in a browser to try the model on images; needs ``pvzoo[demo]``.

        Args:
            **options: Arguments of `gradio.Blocks.launch`, such as ``share=True`` or
                ``server_port=7861``.

        Returns:
            The app. It runs as long as the interpreter, for example that of a notebook.
        """
        from pvzoo.demo import build, launch

        return launch(build([self]), **options)

    @property
    def nbytes(self) -> int:
        """The memory for its weights, in bytes; for an exported model, the size of its files."""
        if self.network is None:
            return self.runtime.nbytes
        return sum(p.nbytes for p in self.network.module.parameters())

    def save(self, folder: str | Path) -> Path:
        """Write the model to a new folder that `pvzoo.load` and the model's own library can open.

        The folder has a model card: what it is, its metrics, its training data, how to use it.

        Raises:
            UsageError: The folder is not empty, or cannot be written.
        """
        self._refuse_if_exported("saved; its folder can be copied")
        from pvzoo.hub.publish import save

        return save(self.network, Path(folder).expanduser(), **self._own)

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
        """Write the model to a new folder that runs without PyTorch, and verify the export.

        The folder has an ordinary ONNX or OpenVINO file. `pvzoo.load` opens it, with the same
        `predict`, `stream`, `evaluate` and `demo`. The folder appears only after its results on
        real images were compared with this model's, in the runtime it is for (docs/export.md).

        Args:
            folder: A new folder.
            runtime: "onnxruntime", "openvino" or a plugin's runtime.
            image_size: Side of the square that images are scaled to, in pixels; None for the size
                that the network was trained with.
            precision: "fp16" or "int8" for smaller and, where the device gains, faster files. They
                are measured on `data`; its train split calibrates int8.
            max_loss: The largest loss of the task's main metric, in its own unit, at a lower
                precision. The upper end of the loss's 95 % interval must be within it.
            allow_slower: Whether int8 may be slower than float32 on this machine, for exports that
                run on another one.
            data: Further images for the comparison: anything that `stream` takes. Or labelled data;
                then both models are evaluated on it too.
            progress: Called with the current stage, what is done of it, and its total.
            keep_failed: A new folder for the exported files if the comparison fails.
            **prompts: Prompts of the task, such as texts; they are fixed in the export.

        Returns:
            What was compared, and the differences.

        Raises:
            ExportError: The model cannot be exported, or the export gives other results.
            UsageError: The folder is not empty, or an argument has an impossible value.
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
            thresholds=self.thresholds,
            data=data,
            progress=progress,
            keep_failed=None if keep_failed is None else Path(keep_failed).expanduser(),
        )

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        message: str = "Upload with pvzoo",
        license: str | None = None,
        endpoint: bool = False,
    ) -> str:
        """Upload the files of `save` to a repo of the Hub; return the address of the repo.

        Args:
            repo_id: ``owner/name``; the repo is created if it does not exist.
            private: Whether a new repo is private; None for the owner's default.
            message: The message of the commit.
            license: The licence of the weights for the model card, such as "apache-2.0"; None
                takes that of the catalogue for the model, or for the one it was tuned from.
            endpoint: Whether to add ``handler.py``, for an Inference Endpoint of Hugging Face.

        Raises:
            HubError: The Hub cannot be reached, or refuses.
        """
        self._refuse_if_exported("pushed; its folder can be uploaded")
        from pvzoo.hub.publish import push

        return push(
            self.network,
            repo_id,
            private=private,
            message=message,
            license=license,
            endpoint=endpoint,
            **self._own,
        )

    @property
    def _own(self) -> dict[str, Any]:
        """What `save` and `push_to_hub` write of it, beside the network."""
        return {name: getattr(self, name) for name in ("name", "task", "report", "thresholds")}

    def _refuse_if_exported(self, verb: str) -> None:
        if self.runtime.suffixes:
            raise UnsupportedModelError(
                f"{self.name} was exported and cannot be {verb}.",
                "Load the original model for that.",
            )
