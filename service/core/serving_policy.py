"""Which versions a policy asks for, and what a promotion or a rollback makes of it. Pure."""

from __future__ import annotations

from collections.abc import Collection

from schemas.serving import LATEST, MAX_HISTORY, Promotion, ServingPolicy


class NothingToRollBack(Exception):
    """There is no earlier version to return to."""


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
    return [version for version in order if version is not None and version in available]


def besides(policy: ServingPolicy) -> frozenset[int]:
    """The versions that are loaded whichever one answers by default."""
    return frozenset(policy.labels.values()) | frozenset(policy.load)


def promoted(
    policy: ServingPolicy,
    version: int | None,
    available: Collection[int],
    *,
    label: str | None = None,
    keep_default: bool = False,
) -> ServingPolicy:
    """The policy by which ``version`` answers from now on.

    Args:
        version: None for whichever is the newest.
        label: it answers under this label; the default follows the label.
        keep_default: only the label is moved.
    """
    labels = dict(policy.labels)
    if label is not None and version is not None:
        labels[label] = version
    default = policy.default if keep_default else label or version or LATEST
    past = Promotion(
        default=policy.default, labels=policy.labels, version=target(policy, available)
    )
    changed = ServingPolicy.model_validate(
        {**_members(policy), "default": default, "labels": labels, "enabled": True}
    )
    if changed == policy:
        return policy
    return changed.model_copy(update={"history": (*policy.history, past)[-MAX_HISTORY:]})


def rolled_back(policy: ServingPolicy, available: Collection[int]) -> ServingPolicy:
    """The policy by which what answered before the last promotion answers again.

    Without a promotion to undo, the version below the present one is pinned.

    Raises:
        NothingToRollBack: there is no such version any more.
    """
    history = policy.history
    while history:
        *rest, past = history
        history = tuple(rest)
        if past.version in available:
            labels = {name: number for name, number in past.labels.items() if number in available}
            restored = policy.model_copy(
                update={"default": past.default, "labels": labels, "history": history}
            )
            if target(restored, available) != past.version:  # "latest" is another one by now
                restored = restored.model_copy(update={"default": past.version})
            return restored
    now = target(policy, available)
    lower = [version for version in available if now is not None and version < now]
    if not lower:
        message = "there is no earlier version to return to"
        raise NothingToRollBack(message)
    return policy.model_copy(update={"default": max(lower), "history": ()})


def with_version(policy: ServingPolicy, version: int) -> ServingPolicy:
    """The policy that loads ``version`` too."""
    load = tuple(sorted({*policy.load, version}))
    return ServingPolicy.model_validate({**_members(policy), "load": load, "enabled": True})


def without_version(policy: ServingPolicy, version: int) -> ServingPolicy:
    """The policy that does not ask for ``version`` besides."""
    return policy.model_copy(update={"load": tuple(v for v in policy.load if v != version)})


def _members(policy: ServingPolicy) -> dict[str, object]:
    return {name: getattr(policy, name) for name in ServingPolicy.model_fields}
