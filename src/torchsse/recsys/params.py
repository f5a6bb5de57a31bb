"""Constructor words as attributes: shown, read, changed and checked the same way in every estimator."""

from __future__ import annotations

import inspect
import math
from numbers import Integral, Real
from typing import Any, TypeVar

from torchsse.errors import ConfigError

__all__ = ["Params", "check_backend_words", "check_choice", "check_integer", "check_number", "check_sgd_words"]

Self = TypeVar("Self", bound="Params")


def check_number(
    name: str, value: object, low: float, high: float = math.inf, *, open_low: bool = False, open_high: bool = False
) -> None:
    """`ConfigError` unless `value` is a finite real number within the bounds."""
    number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    fits = math.isfinite(number)
    fits = fits and (number > low if open_low else number >= low) and (number < high if open_high else number <= high)
    if not fits:
        span = f"{'above' if open_low else 'of at least'} {low:g}"
        if math.isfinite(high):
            span += f" and {'below' if open_high else 'at most'} {high:g}"
        raise ConfigError(f"{name}: expected a number {span}, got {value!r}")


def check_integer(name: str, value: object, low: int) -> None:
    """`ConfigError` unless `value` is an integer of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < low:
        raise ConfigError(f"{name}: expected an integer of at least {low}, got {value!r}")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """`ConfigError` unless `value` is one of the words."""
    if value not in choices:
        raise ConfigError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


def check_sgd_words(model: Any) -> None:
    """The words that every estimator trained by SGD has; `ConfigError` for one out of its range."""
    for name in ("factors", "epochs", "num_threads"):
        check_integer(name, getattr(model, name), 1)
    check_integer("seed", model.seed, 0)
    if model.patience is not None:
        check_integer("patience", model.patience, 1)
    for name in ("learning_rate", "learning_rate_decay"):
        check_number(name, getattr(model, name), 0.0, open_low=True)
    for name in ("weight_decay", "checkpoint_seconds"):
        check_number(name, getattr(model, name), 0.0)
    check_number("dropout", model.dropout, 0.0, 1.0, open_high=True)
    for name in ("p0_user", "p0_item"):
        check_number(name, getattr(model, name), 0.0, 1.0)


def check_backend_words(model: Any) -> None:
    """The words of those that train through torch as well, and have biases."""
    check_integer("batch_size", model.batch_size, 1)
    if model.bias_weight_decay is not None:
        check_number("bias_weight_decay", model.bias_weight_decay, 0.0)
    check_choice("backend", model.backend, ("auto", "kernel", "torch"))
    if model.backend == "kernel" and str(model.device) != "cpu":
        raise ConfigError(f"backend='kernel' runs on device 'cpu', got device {model.device!r}")


class Params:
    """Gives an estimator `get_params`, `set_params` and a repr of what differs from the defaults.

    A subclass stores every constructor word under its own name and checks them in `_check_params`, which runs at
    construction, in `set_params`, and again in `fit`.
    """

    def _check_params(self) -> None:
        """Raise `ConfigError` for settings that contradict each other or leave their range."""

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        return {p.name: p.default for p in inspect.signature(cls).parameters.values()}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor words and their values; `deep` is accepted for scikit-learn's sake and changes nothing."""
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self: Self, **params: Any) -> Self:
        """Change constructor words; takes effect at the next `fit`.

        Raises:
            ConfigError: an unknown word, or settings that do not fit together (nothing is changed then).
        """
        before = self.get_params()
        for name, value in params.items():
            if name not in before:
                raise ConfigError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(before)}")
            setattr(self, name, value)
        try:
            self._check_params()
        except ConfigError:
            for name, value in before.items():
                setattr(self, name, value)
            raise
        return self

    def __repr__(self) -> str:
        defaults = self._defaults()
        changed = [f"{k}={v!r}" for k, v in self.get_params().items() if v is not defaults[k] and v != defaults[k]]
        return f"{type(self).__name__}({', '.join(changed)})"
