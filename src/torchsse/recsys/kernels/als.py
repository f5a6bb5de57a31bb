"""Kernels of alternating least squares: one small linear system for each row of a table.

With Z the other table's features (one row z_i each), the system of row u is

    A_u x = g_u,   A_u = base + a_u Gw + v_u G1 + reg_u diag(d) + sum_i t_ui z_i z_i',
                   g_u = r_u h1 + v_u h2 + a_u h3 + sum_i s_ui z_i,

the sums over the stored entries of row u. `base`, `Gw`, `G1`, `h` carry what every pair shares (the unit weight of
implicit feedback, the rank-two part of propagated confidences), so that nothing dense is ever stored; a_u is 0 or 1,
and kernels take the sum base + Gw as `active`. Rows are independent: any number of threads gives the same bits. Tables
and matrices are padded with zeros as `padded` says.

So does any place in memory. Where a loop writes one array and reads another, LLVM looks at run time how far apart they
begin, and takes scalar code, which sums in another order, if that is less than a few vectors: `APART` keeps all that a
kernel writes that far from everything else.

Both solvers also write m_u = x' A_u x - 2 x' g_u, what the row adds to the objective.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types

from torchsse.recsys.kernels.cache import MATH, compiled

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["cholesky", "conjugate_gradients", "product"]

#: Numbers, of 4 bytes at least: twice what LLVM wants for four vectors of 512 bits.
APART = 128


@njit(nogil=True, inline="always", **MATH)
def _matrix(A: Any, first: Any, G1: Any, uniform: Any, f: int) -> None:
    """A = first + uniform G1, rows 0 .. f-1."""
    for j in range(f):
        row, one, two = A[j], first[j], G1[j]
        for k in range(A.shape[1]):
            row[k] = one[k] + uniform * two[k]


@njit(nogil=True, inline="always", **MATH)
def _goal(g: Any, h: Any, r: Any, v: Any, a: Any) -> None:
    """g = r h1 + v h2 + a h3."""
    for k in range(g.shape[0]):
        g[k] = r * h[0, k] + v * h[1, k] + a * h[2, k]


@njit(nogil=True, inline="always", **MATH)
def _add_outer(A: Any, g: Any, Z: Any, indices: Any, t: Any, s: Any, e: int, end: int, f: int) -> None:
    """A += sum t z z' (the lower triangle, rounded up to whole vectors), g += sum s z; four entries at a time."""
    while e + 4 <= end:
        z0, z1, z2, z3 = Z[indices[e]], Z[indices[e + 1]], Z[indices[e + 2]], Z[indices[e + 3]]
        t0, t1, t2, t3 = t[e], t[e + 1], t[e + 2], t[e + 3]
        for j in range(f):
            row = A[j]
            c0, c1, c2, c3 = t0 * z0[j], t1 * z1[j], t2 * z2[j], t3 * z3[j]
            for k in range((j // 16 + 1) * 16):
                row[k] += c0 * z0[k] + c1 * z1[k] + c2 * z2[k] + c3 * z3[k]
        s0, s1, s2, s3 = s[e], s[e + 1], s[e + 2], s[e + 3]
        for k in range(f):
            g[k] += s0 * z0[k] + s1 * z1[k] + s2 * z2[k] + s3 * z3[k]
        e += 4
    while e < end:
        z0, t0, s0 = Z[indices[e]], t[e], s[e]
        for j in range(f):
            row = A[j]
            c0 = t0 * z0[j]
            for k in range((j // 16 + 1) * 16):
                row[k] += c0 * z0[k]
        for k in range(f):
            g[k] += s0 * z0[k]
        e += 1


@njit(nogil=True, inline="always", **MATH)
def _factorise(A: Any, f: int) -> bool:
    """A = L L' in place, the lower triangle; False if A is not positive definite."""
    for j in range(f):
        row = A[j]
        for k in range(j):
            other = A[k]
            total = row[k]
            for m in range(k):
                total -= row[m] * other[m]
            row[k] = total / other[k]
        total = row[j]
        for m in range(j):
            total -= row[m] * row[m]
        if not total > 0:
            return False
        row[j] = np.sqrt(total)
    return True


def _cholesky(
    indptr: Any, indices: Any, t: Any, s: Any, Z: Any, base: Any, active: Any, G1: Any, a: Any, v: Any, reg: Any,
    diag: Any, h: Any, rest: Any, shared: bool, X: Any, values: Any, first: int, start: int, stop: int, steps: int,
) -> int:  # fmt: skip
    f = diag.shape[0]
    width = Z.shape[1]
    A = np.empty(f * width + 2 * APART, Z.dtype)[APART : APART + f * width].reshape(f, width)
    g = np.empty(width + 2 * APART, Z.dtype)[APART : APART + width]
    for line in range(start, stop):
        u = first + line
        _matrix(A, active if a[u] > 0 else base, G1, v[u], f)
        for j in range(f):
            A[j, j] += reg[u] * diag[j]
        _goal(g, h, rest[u], v[u], a[u])
        _add_outer(A, g, Z, indices, t, s, indptr[line], indptr[line + 1], f)
        if not _factorise(A, f):
            return u
        x = X[u]
        for j in range(f):
            total, row = g[j], A[j]
            for k in range(j):
                total -= row[k] * x[k]
            x[j] = total / row[j]
        for j in range(f - 1, -1, -1):
            row = A[j]
            x[j] /= row[j]
            for k in range(j):
                x[k] -= x[j] * row[k]
        value = 0.0
        for k in range(f):
            value -= x[k] * g[k]
        values[u] = value
    return -1


@njit(nogil=True, inline="always", **MATH)
def _apply(out: Any, p: Any, Z: Any, indices: Any, t: Any, e: int, end: int) -> None:
    """out += sum t (z . p) z, four entries at a time."""
    width = Z.shape[1]
    while e + 4 <= end:
        z0, z1, z2, z3 = Z[indices[e]], Z[indices[e + 1]], Z[indices[e + 2]], Z[indices[e + 3]]
        d0 = d1 = d2 = d3 = Z.dtype.type(0)
        for k in range(width):
            d0 += z0[k] * p[k]
            d1 += z1[k] * p[k]
            d2 += z2[k] * p[k]
            d3 += z3[k] * p[k]
        d0 *= t[e]
        d1 *= t[e + 1]
        d2 *= t[e + 2]
        d3 *= t[e + 3]
        for k in range(width):
            out[k] += d0 * z0[k] + d1 * z1[k] + d2 * z2[k] + d3 * z3[k]
        e += 4
    while e < end:
        z0 = Z[indices[e]]
        d0 = Z.dtype.type(0)
        for k in range(width):
            d0 += z0[k] * p[k]
        d0 *= t[e]
        for k in range(width):
            out[k] += d0 * z0[k]
        e += 1


@njit(nogil=True, inline="always", **MATH)
def _begin(out: Any, p: Any, Z: Any, indices: Any, t: Any, s: Any, e: int, end: int) -> float:
    """out += sum (s - t (z . p)) z, four entries at a time; sum s (z . p)."""
    width, total = Z.shape[1], 0.0
    while e + 4 <= end:
        z0, z1, z2, z3 = Z[indices[e]], Z[indices[e + 1]], Z[indices[e + 2]], Z[indices[e + 3]]
        d0 = d1 = d2 = d3 = Z.dtype.type(0)
        for k in range(width):
            d0 += z0[k] * p[k]
            d1 += z1[k] * p[k]
            d2 += z2[k] * p[k]
            d3 += z3[k] * p[k]
        total += s[e] * d0 + s[e + 1] * d1 + s[e + 2] * d2 + s[e + 3] * d3
        d0 = s[e] - t[e] * d0
        d1 = s[e + 1] - t[e + 1] * d1
        d2 = s[e + 2] - t[e + 2] * d2
        d3 = s[e + 3] - t[e + 3] * d3
        for k in range(width):
            out[k] += d0 * z0[k] + d1 * z1[k] + d2 * z2[k] + d3 * z3[k]
        e += 4
    while e < end:
        z0 = Z[indices[e]]
        d0 = Z.dtype.type(0)
        for k in range(width):
            d0 += z0[k] * p[k]
        total += s[e] * d0
        d0 = s[e] - t[e] * d0
        for k in range(width):
            out[k] += d0 * z0[k]
        e += 1
    return total


@njit(nogil=True, inline="always", **MATH)
def _times(out: Any, M: Any, reg: Any, diag: Any, p: Any, f: int) -> None:
    """out = (M + reg diag(d)) p for a symmetric M, rows 0 .. f-1, four at a time."""
    out[:] = 0
    for j in range(f):
        out[j] = reg * diag[j] * p[j]
    j = 0
    while j + 4 <= f:
        m0, m1, m2, m3 = M[j], M[j + 1], M[j + 2], M[j + 3]
        c0, c1, c2, c3 = p[j], p[j + 1], p[j + 2], p[j + 3]
        for k in range(M.shape[1]):
            out[k] += c0 * m0[k] + c1 * m1[k] + c2 * m2[k] + c3 * m3[k]
        j += 4
    while j < f:
        m0, c0 = M[j], p[j]
        for k in range(M.shape[1]):
            out[k] += c0 * m0[k]
        j += 1


def _conjugate_gradients(
    indptr: Any, indices: Any, t: Any, s: Any, Z: Any, base: Any, active: Any, G1: Any, a: Any, v: Any, reg: Any,
    diag: Any, h: Any, rest: Any, shared: bool, X: Any, values: Any, first: int, start: int, stop: int, steps: int,
) -> int:  # fmt: skip
    f, width = diag.shape[0], Z.shape[1]
    M = np.empty(f * width + 2 * APART, Z.dtype)[APART : APART + f * width].reshape(f, width)
    work = np.empty(3 * width + 4 * APART, Z.dtype)
    r, p = work[APART : APART + width], work[2 * APART + width : 2 * APART + 2 * width]
    q = work[3 * APART + 2 * width : 3 * APART + 3 * width]
    for line in range(start, stop):
        u, e, end = first + line, indptr[line], indptr[line + 1]
        x, dense = X[u], active if a[u] > 0 else base
        if shared:  # all rows have the same dense part
            _times(q, dense, reg[u], diag, x, f)
        else:
            _matrix(M, dense, G1, v[u], f)
            _times(q, M, reg[u], diag, x, f)
        _goal(r, h, rest[u], v[u], a[u])
        value = 0.0  # x' A x - 2 x' g = -x' r - x' g at the start; each step takes off length * old
        for k in range(width):
            value -= x[k] * r[k]
            r[k] -= q[k]
        value -= _begin(r, x, Z, indices, t, s, e, end)
        old = Z.dtype.type(0)
        for k in range(width):
            value -= x[k] * r[k]
            p[k] = r[k]
            old += r[k] * r[k]
        for _ in range(steps):
            if not old > 0:
                break
            if shared:
                _times(q, dense, reg[u], diag, p, f)
            else:
                _times(q, M, reg[u], diag, p, f)
            _apply(q, p, Z, indices, t, e, end)
            curve = Z.dtype.type(0)
            for k in range(width):
                curve += p[k] * q[k]
            if not curve > 0:
                break
            length = old / curve
            value -= length * old
            new = Z.dtype.type(0)
            for k in range(width):
                x[k] += length * p[k]
                r[k] -= length * q[k]
                new += r[k] * r[k]
            turn = new / old
            for k in range(width):
                p[k] = r[k] + turn * p[k]
            old = new
        values[u] = value
    return -1


def _product(indptr: Any, indices: Any, t: Any, Z: Any, P: Any, out: Any, start: int, stop: int) -> None:
    for u in range(start, stop):
        _apply(out[u], P[u], Z, indices, t, indptr[u], indptr[u + 1])


def _kinds(dtype: str) -> tuple[Any, Any, Any, Any]:
    number = getattr(types, dtype)
    column, table = types.Array(number, 1, "C", readonly=True), types.Array(number, 2, "C", readonly=True)
    entries = types.Array(types.int64, 1, "C", readonly=True), types.Array(types.int32, 1, "C", readonly=True)
    return entries, column, table, number[:, ::1]


@lru_cache(maxsize=8)
def _solver(name: str, dtype: str) -> Callable[..., Any]:
    entries, column, table, written = _kinds(dtype)
    signature = types.int64(
        *entries, column, column, table, table, table, table, column, column, column, column, table, column,
        types.boolean, written,
        types.float64[::1], types.int64, types.int64, types.int64, types.int64,
    )  # fmt: skip
    function = _cholesky if name == "cholesky" else _conjugate_gradients
    return compiled(f"als_{name}_{dtype}", function, signature)


def cholesky(dtype: str) -> Callable[..., Any]:
    """Solve every row's system exactly: f^2 / 2 products an entry and f^3 / 6 a row.

    The compiled ``f(indptr, indices, t, s, Z, base, active, G1, a, v, reg, d, h, r, shared, X, m, first, start, stop,
    steps) -> int``, with active = base + Gw, h of three rows, and `shared` to say that G1 is all zeros. It solves for
    rows first + start .. first + stop - 1; the entries' arrays hold rows first, first + 1, ... Writes X and m; returns
    -1, or the row whose matrix is not positive definite. `steps` is not used.
    """
    return _solver("cholesky", dtype)


def conjugate_gradients(dtype: str) -> Callable[..., Any]:
    """Improve every row by `steps` steps of conjugate gradients from its value: 2 f products an entry and step.

    Arguments as for `cholesky`; returns -1.
    """
    return _solver("cg", dtype)


@lru_cache(maxsize=2)
def product(dtype: str) -> Callable[..., Any]:
    """out_u += sum_i t_ui (z_i . p_u) z_i for rows start .. stop - 1, the data term's Hessian times P.

    The compiled ``f(indptr, indices, t, Z, P, out, start, stop) -> None``.
    """
    entries, column, table, written = _kinds(dtype)
    signature = types.void(*entries, column, table, table, written, types.int64, types.int64)
    return compiled(f"als_product_{dtype}", _product, signature)
