"""Numbers as people read them."""

from __future__ import annotations

from typing import Any

__all__ = ["epochs", "interval", "number", "p_value", "params", "signed"]

MINUS = "\N{MINUS SIGN}"


def number(value: float | None, digits: int = 4) -> str:
    """With a fixed number of digits; None is blank.

    >>> number(0.85983), number(None)
    ('0.8598', '')
    """
    return "" if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float | None, digits: int = 4) -> str:
    """With its sign, except for 0.

    >>> signed(0.0013), signed(0.0), signed(-0.0000001)
    ('+0.0013', '0.0000', '0.0000')
    """
    if value is None:
        return ""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def interval(ends: list[float] | None, show: Any = number) -> str:
    """Both ends; None is blank.

    >>> interval([0.1, 0.25])
    '0.1000 to 0.2500'
    """
    return "" if ends is None else f"{show(ends[0])} to {show(ends[1])}"


def epochs(record: dict[str, Any]) -> str:
    """The epoch that validation chose; of fits that it stopped themselves, each one's, and how far it ran.

    >>> epochs({"best_epoch": 31})
    '31'
    >>> epochs({"best_epochs": [85, 120], "epochs_run": [105, 120], "stopped": ["patience", "epochs"]})
    '85 of 105, 120 of 120 (limit)'
    """
    if "epochs_run" not in record:
        return str(record.get("best_epoch") or "")
    ends = zip(record["best_epochs"], record["epochs_run"], record["stopped"])
    return ", ".join(f"{best} of {run}" + (" (limit)" if why == "epochs" else "") for best, run, why in ends)


def p_value(p: float | None) -> str:
    """Two significant digits, and never 0.

    >>> p_value(0.0432), p_value(0.0002), p_value(1.0), p_value(None)
    ('0.043', '< 0.001', '1', '')
    """
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def params(settings: dict[str, Any]) -> str:
    """Names and values, three significant digits.

    >>> params({"weight_decay": 0.0812345, "rho_item": "inf"})
    'weight_decay 0.0812, rho_item inf'
    """
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, (int, float)) else f"{name} {value}"
        for name, value in settings.items()
    )
