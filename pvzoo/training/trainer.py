"""`transformers.Trainer`, with complete checkpoints, strict loading and pvzoo's own evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import ExportableState, PrinterCallback

from pvzoo.adapters.base import Checkpoint
from pvzoo.errors import ImageError, PluginError, PvzooWarning, TrainingError, reading
from pvzoo.networks.base import Network
from pvzoo.networks.randomness import put_back
from pvzoo.plugins.calls import calling, fault_of, named_part, plugin_of
from pvzoo.plugins.installed import OWN
from pvzoo.training import checkpoints
from pvzoo.training.ema import Average
from pvzoo.training.features import Features, HeadTraining
from pvzoo.training.files import read_object
from pvzoo.training.low_rank import LowRank
from pvzoo.training.samples import Samples

EMA_FILE = "ema.safetensors"
_NOT_NUMBERS = ("boxes1 must be in", "invalid numeric entries")
"""Parts of the errors of transformers' box overlap and scipy's matching for NaN or infinity."""

INDICES = "indices"
"""Key of a batch for the indices of its images, for messages."""


class EpochSampler(Sampler[tuple[int, int]]):
    """(epoch, index) of every image, in an order that depends only on (seed, epoch).

    The epoch is sent with the index because there is no other reliable way to tell a dataset:
    Accelerate fetches a batch ahead, and workers have copies of the dataset.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed
        self.epoch = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self._seed, self.epoch)).permutation(self._count)
        return iter([(self.epoch, int(i)) for i in order])


def collated(
    step: Network | HeadTraining, source: Samples | Features, samples: Sequence[Any]
) -> dict[str, Any]:
    """The batch that `step` makes of (image, target, index) samples of a source, with `INDICES`.

    Raises:
        ImageError: An image cannot be prepared; the message names all images of the batch.
    """
    images, targets, indices = zip(*samples, strict=True)
    try:
        with calling(step, "batch"):
            return {**step.batch(images, targets), INDICES: indices}
    except ImageError as error:
        names = ", ".join(source.name_of(i) for _, i in indices)
        raise ImageError(f"{error.what} It is one of {names}.", error.hint) from error


class FineTuner(Trainer):
    """Trains a network.

    Args:
        network: The network to train, in place.
        step: Makes batches of samples and computes their loss: the network, or a `HeadTraining`.
        groups: Parameter groups of AdamW: dicts with ``params``, ``lr``, ``weight_decay``.
        frozen: Modules that do not change: they get no gradients, and their normalisation keeps
            its statistics.
        samples: The training samples.
        measure: Called with the batch size after every epoch; returns the figures. The network
            then has the averaged weights, if there is an average. None for no evaluation.
        average: The moving average of the weights, or None.
        low_rank: The low-rank matrices to train in place of linear layers, or None.
        args: The arguments of the run.
        callbacks: The callbacks of the run.
    """

    def __init__(
        self,
        *,
        network: Network,
        step: Network | HeadTraining,
        groups: list[dict[str, Any]],
        frozen: list[torch.nn.Module],
        samples: Samples | Features,
        measure: Callable[[int], dict[str, float]] | None,
        average: Average | None,
        low_rank: LowRank | None,
        args: TrainingArguments,
        callbacks: list[TrainerCallback],
    ) -> None:
        self._network = network
        self._step = step
        self._groups = groups
        self._frozen = frozen
        self._samples = samples
        self._measure = measure
        self._average = average
        self._low_rank = low_rank
        self._sampler = EpochSampler(len(samples), args.seed)
        super().__init__(
            network.module,
            args,
            train_dataset=samples,
            eval_dataset=samples if measure else None,  # Trainer only asks whether it is None
            data_collator=self._collate,
            callbacks=[_Epochs(self._sampler), *callbacks],
        )
        self.remove_callback(PrinterCallback)
        # otherwise Trainer divides the loss by the number of pixels of a map, void ones included
        self.model_accepts_loss_kwargs = False
        if average is not None:
            self.add_callback(_Averaging(average, network.module))

    # --- training data ----------------------------------------------------------------------------

    def _collate(self, samples: list[Any]) -> dict[str, Any]:
        return collated(self._step, self._samples, samples)

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        return self._sampler

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Trainer's scheduler, with more steps than the warm-up; a polynomial would divide by 0."""
        least = self.args.get_warmup_steps(num_training_steps) + 1
        return super().create_scheduler(max(num_training_steps, least), optimizer)

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW over the groups."""
        if self.optimizer is None:
            betas = self.args.adam_beta1, self.args.adam_beta2
            self.optimizer = torch.optim.AdamW(
                self._groups, betas=betas, eps=self.args.adam_epsilon
            )
        return self.optimizer

    # --- a step -----------------------------------------------------------------------------------

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], *rest: Any) -> Any:
        """Trainer's step. It remembers the batch, to name its images if the loss is not finite."""
        self._indices = inputs.pop(INDICES)
        try:
            loss = super().training_step(model, inputs, *rest)
        except (ValueError, PluginError) as error:
            # matchers refuse predictions that are not finite before the loss is computed
            if not any(text in str(error) for text in _NOT_NUMBERS):
                raise
            raise self._not_finite("prediction") from error
        if self.accelerator.scaler is not None and not loss.isfinite():
            raise self._not_finite("loss")
        return loss

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], *_: Any, **__: Any
    ) -> torch.Tensor:
        """The loss of a batch."""
        for module in self._frozen:  # Trainer puts everything into training mode at every step
            module.eval()
        with calling(self._step, "loss"):
            loss = self._step.loss(model, inputs)
        if not isinstance(loss, torch.Tensor) or loss.ndim:
            shape = f" of the shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else ""
            fault = f"returned a {type(loss).__name__}{shape}, not a tensor of the shape ()"
            raise fault_of(self._step, "loss", fault)
        return loss

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        """Trainer's norm, checked. It is called before an update and is equal in all processes."""
        # transformers gives the method no types
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        if self.accelerator.scaler is not None:
            return norm  # in float16 gradients sometimes overflow; Trainer skips such a step
        if norm is not None and not np.isfinite(float(norm)):
            raise self._not_finite("gradient")
        return norm

    def _not_finite(self, what: str) -> TrainingError:
        step = self.state.global_step + 1
        names = ", ".join(self._samples.name_of(i) for _, i in self._indices[:8])
        groups = self._groups if self.optimizer is None else self.optimizer.param_groups
        rates = sorted({group["lr"] for group in groups}, reverse=True)
        whose = ""
        if plugin_of(self._network) != OWN:
            whose = f" It may also be a mistake in the {named_part(self._network, 'loss')}."
        return TrainingError(
            f"Step {step}: a {what} is not finite, on the images {names} (learning rates "
            f"{', '.join(f'{r:g}' for r in rates)}).",
            "The learning rate is too high for this network, or an image or its labels are wrong. "
            f"Use a smaller learning_rate, or check the data with pvzoo.data.check.{whose}",
        )

    # --- evaluation -------------------------------------------------------------------------------

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """The figures of pvzoo's own evaluation, under Trainer's names."""
        assert self._measure is not None  # else Trainer has no data to evaluate on
        module = self._network.module
        was_training = module.training
        # the batch size that fits: Accelerate's search stores it there
        batch_size = self.state.train_batch_size or self.args.train_batch_size
        # otherwise a run resumed from a checkpoint written before an evaluation would differ
        with put_back(), self._averaged():
            module.eval()
            figures = self._measure(batch_size)
        module.train(was_training)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in figures.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _averaged(self) -> Any:
        return self._average.swapped_in() if self._average else nullcontext()

    # --- checkpoints ------------------------------------------------------------------------------

    @property
    def _home(self) -> Path:
        return Path(str(self.args.output_dir))

    def _init_training_state(
        self, max_steps: int, per_epoch: int, epochs: int, resume_from_checkpoint: Any, trial: Any
    ) -> tuple[int, int]:
        """Trainer's method (epochs and steps already done), for a folder that may have moved."""
        done = super()._init_training_state(
            max_steps, per_epoch, epochs, resume_from_checkpoint, trial
        )
        step = self.state.best_global_step
        if resume_from_checkpoint is not None and step:
            best = checkpoints.path_of(self._home, step)
            self.state.best_model_checkpoint = str(best)
            if not best.is_dir():
                warnings.warn(
                    f"{best}, the best checkpoint so far, is missing: pvzoo will keep the best of "
                    "the following epochs.",
                    PvzooWarning,
                    stacklevel=2,
                )
                self.state.best_model_checkpoint = self.state.best_metric = None
                self.state.best_global_step = None
        if self.control.should_training_stop:  # the run had stopped early; Trainer would go on
            return epochs, 0
        return done

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        home, step = self._home, self.state.global_step
        states: Any = self.state.stateful_callbacks  # a dict by now, whatever its type says
        part = checkpoints.part(home, step)
        if self.state.best_global_step == step:  # in every process, because each loads it later
            self.state.best_model_checkpoint = str(checkpoints.path_of(home, step))
        try:
            if self.args.should_save:
                checkpoints.sweep(home)
                part.mkdir(parents=True)
            self.accelerator.wait_for_everyone()
            self.store_flos()
            self.save_model(str(part), _internal_call=True)
            self._save_optimizer_and_scheduler(str(part))
            self._save_scaler(str(part))
            self._save_rng_state(str(part))
            if self.args.should_save:
                if self._average is not None:
                    save_file(self._average.state(), part / EMA_FILE)
                for callback in (*self.callback_handler.callbacks, self.control):
                    if isinstance(callback, ExportableState):
                        states[type(callback).__name__] = callback.state()
                self.state.save_to_json(str(part / "trainer_state.json"))
            self.accelerator.wait_for_everyone()  # now the RNG states of all processes are there
            if self.args.should_save:
                checkpoints.seal(home, step)
                self._discard_old(home)
        except (OSError, RuntimeError, SafetensorError) as error:
            # on a full disk, torch.save only complains about the length of its zip file
            if isinstance(error, RuntimeError) and "inline_container" not in str(error):
                raise
            raise TrainingError(
                f"The checkpoint of step {step} cannot be written to {home} ({error}).",
                "Free some space or repair the disk, then repeat the call: it continues from the "
                "checkpoint before.",
            ) from error
        self.accelerator.wait_for_everyone()

    def _discard_old(self, home: Path) -> None:
        """Keep the best checkpoint and the newest two, in case one of them is damaged."""
        steps = checkpoints.steps(home)
        for step in steps[:-2]:
            if step != self.state.best_global_step:
                checkpoints.discard(checkpoints.path_of(home, step))

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save:
            (self._low_rank or self._network).save(Path(output_dir or self._home))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load the weights in place, strictly, in the same way as for any other folder.

        Trainer would load files with the Hub's key names without conversion, and would not
        complain that most keys then match nothing.
        """
        folder = Path(resume_from_checkpoint)
        if self._low_rank is not None:
            self._low_rank.restore(folder)
        else:
            restore(self._network, folder)
        if self._average is not None:
            self._average.load_state(load_file(folder / EMA_FILE))

    def _load_best_model(self) -> None:
        self._load_from_checkpoint(str(self.state.best_model_checkpoint))


def restore(network: Network, folder: Path) -> None:
    """Load all weights that `Network.save` wrote into a network."""
    config = read_object(folder / "config.json")
    checkpoint = Checkpoint(str(folder), config, folder, folder / "model.safetensors")
    dtype = next(p.dtype for p in network.module.parameters() if p.is_floating_point())
    # a model with its own code: that code has already run, for the network that is here
    with reading(str(folder)):
        fresh = type(network).load(
            checkpoint, task=network.spec.task, dtype=dtype, trust_remote_code=True
        )
    network.module.load_state_dict(fresh.module.state_dict(), strict=True)


class _Epochs(TrainerCallback):
    """Tells the sampler the epoch, because Accelerate does not do so in a resumed epoch."""

    def __init__(self, sampler: EpochSampler) -> None:
        self._sampler = sampler

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._sampler.epoch = int(state.epoch or 0)


class _Averaging(TrainerCallback):
    def __init__(self, average: Average, module: torch.nn.Module) -> None:
        self._average, self._module = average, module

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._average.fit_to(state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._average.update(state.global_step)
