"""Section 3.3 of the paper as numbers: SSE Rademacher complexities, the SSE bias, the excess risk bound.

Everything takes callables and ids; nothing here knows a task. The transition matrices act as operators, so that tables
of millions of rows fit (for one table; the product law of several needs the table of all their losses).
"""

from __future__ import annotations

from torchsse.theory.bias import BiasEstimate, sse_bias, sse_bias_lower_bound
from torchsse.theory.bound import ExcessRiskBound, excess_risk_bound
from torchsse.theory.operator import TransitionOperator, transition_operator
from torchsse.theory.rademacher import RademacherEstimate, rademacher_complexity, rademacher_lower_bound

__all__ = [
    "BiasEstimate",
    "ExcessRiskBound",
    "RademacherEstimate",
    "TransitionOperator",
    "excess_risk_bound",
    "rademacher_complexity",
    "rademacher_lower_bound",
    "sse_bias",
    "sse_bias_lower_bound",
    "transition_operator",
]
