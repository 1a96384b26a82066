"""Pure functions on serving policies: versions to load, promotion, rollback."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from pydantic import ValidationError

from schemas.operator_error import OperatorError
from schemas.rollout import EndedRollout, Rollout, RolloutEnd
from schemas.serving import LATEST, MAX_HISTORY, Promotion, ServingPolicy


class PolicyRefused(OperatorError):
    """Error for a change that is invalid or impossible; the message says why."""


class VersionInUse(OperatorError):
    """Error for a version that is the default one, labelled or tried, and so cannot be removed.

    ``label``: one of its labels; None if it has none.
    """

    def __init__(
        self, name: str, version: int, label: str | None, *, is_tried: bool = False
    ) -> None:
        self.label, self.is_tried = label, is_tried
        use = "is the default: promote another one first"
        if label is not None:
            use = f"is labelled '{label}': move the label first"
        elif is_tried:
            use = "is being tried: end its rollout first"
        super().__init__(f"version {version} of '{name}' {use}")


def target(policy: ServingPolicy, available: Collection[int]) -> int | None:
    """Return the version meant to be the default; None if no version is available."""
    if policy.default == LATEST:
        return max(available, default=None)
    if isinstance(policy.default, int):
        return policy.default
    return policy.labels[policy.default]


def candidates(policy: ServingPolicy, available: Collection[int]) -> list[int]:
    """Return the versions that may become the default, in the order in which they are tried.

    First the target; if it fails, the earlier defaults, newest first, and then the lower
    versions, highest first: a restarted server continues with the version that served before.
    """
    wanted = target(policy, available)
    if wanted is None:
        return []
    before = [] if policy.default == LATEST else [past.version for past in policy.history[::-1]]
    lower = sorted((version for version in available if version < wanted), reverse=True)
    order = dict.fromkeys([wanted, *before, *lower])
    return [version for version in order if version in available]


def always_loaded(policy: ServingPolicy) -> frozenset[int]:
    """Return the versions that are loaded whichever version is the default."""
    tried = {policy.rollout.version} if policy.rollout else set()
    return frozenset({*policy.labels.values(), *policy.load, *tried})


def requested_versions(policy: ServingPolicy, available: Collection[int]) -> set[int]:
    """Return every version that a policy loads; none if it is disabled."""
    if not policy.enabled:
        return set()
    wanted = target(policy, available)
    return set(always_loaded(policy)) | ({wanted} if wanted is not None else set())


def versions_to_check(
    old: ServingPolicy, new: ServingPolicy, available: Collection[int]
) -> set[int]:
    """Return the versions that must pass their checks before ``new`` replaces ``old``.

    These are the versions that only ``new`` loads, and its target if that is another one.
    """
    versions = requested_versions(new, available) - requested_versions(old, available)
    wanted = target(new, available)
    if wanted is not None and wanted != target(old, available):
        versions.add(wanted)
    return versions


def promoted(
    policy: ServingPolicy,
    version: int | None,
    answering: int | None,
    *,
    label: str | None = None,
    keep_default: bool = False,
) -> ServingPolicy:
    """Return the policy with ``version`` promoted to default.

    Args:
        version: None for the newest.
        answering: the current default version, to which a rollback returns.
        label: moved to ``version``; the default follows the label.
        keep_default: move only the label.
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
    made = _made(policy, **changed, history=history[-MAX_HISTORY:])
    return made if keep_default else _superseded(made, version)


def rolled_back(
    policy: ServingPolicy, available: Collection[int], answering: int | None
) -> ServingPolicy:
    """Return the policy with the previous default version restored.

    That is the version that the last promotion replaced, or, without one, the next lower version.

    Args:
        answering: the current default version.

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
            if target(restored, available) != past.version:  # the latest is another version by now
                restored = _made(restored, default=past.version)
            return _superseded(restored, past.version)
    lower = [version for version in available if answering is not None and version < answering]
    if not lower:
        message = "there is no earlier version to return to"
        raise PolicyRefused(message)
    return _superseded(_made(policy, default=max(lower), history=()), max(lower))


def with_rollout(policy: ServingPolicy, rollout: Rollout, answering: int | None) -> ServingPolicy:
    """Return the policy that tries a version beside the default one.

    Args:
        answering: the current default version.

    Raises:
        PolicyRefused: the version is the default one, or there is none.
    """
    if answering is None or not policy.enabled:
        raise PolicyRefused("no version of the model answers, so there is nothing to compare with")
    if rollout.version == answering:
        message = f"version {rollout.version} is the default one already"
        raise PolicyRefused(message)
    return _made(policy, rollout=rollout)


def without_rollout(policy: ServingPolicy, reason: RolloutEnd, by: str) -> ServingPolicy:
    """Return the policy with its rollout, if any, ended."""
    rollout = policy.rollout
    if rollout is None:
        return policy
    ended = EndedRollout(
        mode=rollout.mode,
        version=rollout.version,
        begun=rollout.begun,
        ended=datetime.now(UTC),
        reason=reason,
        by=by,
    )
    return _made(policy, rollout=None, last_rollout=ended)


def _superseded(policy: ServingPolicy, version: int | None) -> ServingPolicy:
    """End the rollout of a policy whose default version changes to another one."""
    if policy.rollout is None:
        return policy
    is_it = version == policy.rollout.version
    return without_rollout(policy, RolloutEnd.PROMOTED if is_it else RolloutEnd.STOPPED, "")


def require_unused(name: str, version: int, policy: ServingPolicy, answering: int | None) -> None:
    """Require that a version may be unloaded or removed.

    Args:
        answering: the current default version.

    Raises:
        VersionInUse: it is the default version, labelled, or tried in a rollout.
    """
    if version == answering:
        raise VersionInUse(name, version, None)
    for label, number in policy.labels.items():
        if number == version:
            raise VersionInUse(name, version, label)
    if policy.rollout is not None and policy.rollout.version == version:
        raise VersionInUse(name, version, None, is_tried=True)


def with_enabled(policy: ServingPolicy, *, enabled: bool) -> ServingPolicy:
    """Return the policy with the model as a whole enabled or disabled."""
    return _made(policy, enabled=enabled)


def with_version(policy: ServingPolicy, version: int) -> ServingPolicy:
    """Return the policy with ``version`` added to those loaded, and the model enabled."""
    return _made(policy, load=tuple(sorted({*policy.load, version})), enabled=True)


def with_label(policy: ServingPolicy, label: str, version: int) -> ServingPolicy:
    """Return the policy with a label moved to ``version``, which is loaded then."""
    return _made(policy, labels={**policy.labels, label: version})


def without_version(policy: ServingPolicy, version: int) -> ServingPolicy:
    """Return the policy without ``version`` in ``load``."""
    return _made(policy, load=tuple(number for number in policy.load if number != version))


def with_default_kept(
    policy: ServingPolicy, answering: int | None, available: Collection[int]
) -> ServingPolicy:
    """Return the policy that keeps the current default when a version is added.

    A model without versions is disabled, so nothing of it is loaded before a promotion.

    Args:
        answering: the current default version; None if no version can answer.
    """
    if not available:
        return _made(policy, enabled=False)
    if policy.default != LATEST or not policy.enabled:
        return policy
    return _made(policy, default=max(available) if answering is None else answering)


def _made(policy: ServingPolicy, **changes: object) -> ServingPolicy:
    """Return a validated copy with changes; ``model_copy`` does not validate."""
    members = {name: getattr(policy, name) for name in ServingPolicy.model_fields}
    try:
        return ServingPolicy.model_validate(members | changes)
    except ValidationError as error:
        first = error.errors(include_url=False)[-1]  # the first ones belong to other union members
        where = ".".join(map(str, first["loc"])) or "policy"
        raise PolicyRefused(f"{where}: {first['msg']}") from error
