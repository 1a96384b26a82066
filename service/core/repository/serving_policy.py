"""Which versions a policy asks for, and what a promotion or a rollback makes of it. Pure."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import ValidationError

from schemas.operator_error import OperatorError
from schemas.serving import LATEST, MAX_HISTORY, Promotion, ServingPolicy


class PolicyRefused(OperatorError):
    """A policy cannot say that, or there is nothing to say; the message tells which."""


def target(policy: ServingPolicy, available: Collection[int]) -> int | None:
    """The version that is meant to answer when none is named; None if there is none at all."""
    if policy.default == LATEST:
        return max(available, default=None)
    if isinstance(policy.default, int):
        return policy.default
    return policy.labels[policy.default]


def candidates(policy: ServingPolicy, available: Collection[int]) -> list[int]:
    """The versions that may answer by default, in the order in which they are tried.

    First the one that is meant. Should it fail, the ones that answered before it, the newest first,
    and then those with lower numbers: a server that starts anew goes on with what served.
    """
    wanted = target(policy, available)
    if wanted is None:
        return []
    before = [] if policy.default == LATEST else [past.version for past in policy.history[::-1]]
    lower = sorted((version for version in available if version < wanted), reverse=True)
    order = dict.fromkeys([wanted, *before, *lower])
    return [version for version in order if version in available]


def besides(policy: ServingPolicy) -> frozenset[int]:
    """The versions that are loaded whichever one answers by default."""
    return frozenset(policy.labels.values()) | frozenset(policy.load)


def asked_for(policy: ServingPolicy, available: Collection[int]) -> set[int]:
    """Every version that a policy names."""
    if not policy.enabled:
        return set()
    wanted = target(policy, available)
    return set(besides(policy)) | ({wanted} if wanted is not None else set())


def promoted(
    policy: ServingPolicy,
    version: int | None,
    answering: int | None,
    *,
    label: str | None = None,
    keep_default: bool = False,
) -> ServingPolicy:
    """The policy by which ``version`` answers from now on.

    Args:
        version: None for whichever is the newest.
        answering: what answers by default today, which a rollback returns to.
        label: it answers under this label; the default follows the label.
        keep_default: only the label is moved.
    """
    labels, history = dict(policy.labels), policy.history
    if label is not None and version is not None:
        labels[label] = version
    default = policy.default if keep_default else label or version or LATEST
    if answering is not None and not keep_default:
        history = (*history, Promotion(default=policy.default, version=answering))
    changed = {"default": default, "labels": labels, "enabled": True}
    if all(getattr(policy, name) == value for name, value in changed.items()):
        return policy
    return _made(policy, **changed, history=history[-MAX_HISTORY:])


def rolled_back(
    policy: ServingPolicy, available: Collection[int], answering: int | None
) -> ServingPolicy:
    """The policy by which what answered before answers again.

    That is what the last promotion replaced, or, without one, the version below.

    Args:
        answering: what answers by default today.

    Raises:
        PolicyRefused: there is no such version any more.
    """
    history = policy.history
    while history:
        *rest, past = history
        history = tuple(rest)
        if past.version in available and past.version != answering:
            labels = dict(policy.labels)
            if isinstance(past.default, str) and past.default != LATEST:
                labels[past.default] = past.version
            restored = _made(policy, default=past.default, labels=labels, history=history)
            if target(restored, available) != past.version:  # another one is the latest by now
                restored = _made(restored, default=past.version)
            return restored
    lower = [version for version in available if answering is not None and version < answering]
    if not lower:
        message = "there is no earlier version to return to"
        raise PolicyRefused(message)
    return _made(policy, default=max(lower), history=())


def with_version(policy: ServingPolicy, version: int) -> ServingPolicy:
    """The policy that loads ``version`` too."""
    return _made(policy, load=tuple(sorted({*policy.load, version})), enabled=True)


def without_version(policy: ServingPolicy, version: int) -> ServingPolicy:
    """The policy that does not ask for ``version`` besides."""
    return _made(policy, load=tuple(number for number in policy.load if number != version))


def held(policy: ServingPolicy, answering: int | None, available: Collection[int]) -> ServingPolicy:
    """The policy by which what answers goes on answering, whatever version is added.

    A model that has no version yet is not loaded until something is promoted.

    Args:
        answering: what answers by default today; None if nothing can.
    """
    if not available:
        return _made(policy, enabled=False)
    if policy.default != LATEST or not policy.enabled:
        return policy
    return _made(policy, default=max(available) if answering is None else answering)


def _made(policy: ServingPolicy, **changes: object) -> ServingPolicy:
    """``model_copy`` does not validate."""
    members = {name: getattr(policy, name) for name in ServingPolicy.model_fields}
    try:
        return ServingPolicy.model_validate(members | changes)
    except ValidationError as error:
        first = error.errors(include_url=False)[-1]  # the first ones are of other alternatives
        where = ".".join(map(str, first["loc"])) or "policy"
        raise PolicyRefused(f"{where}: {first['msg']}") from error
