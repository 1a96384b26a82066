"""Errors of model changes as callers over the network receive them, without paths of the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import Conflict, ModelNotFound
from service.core.repository.publishing import DiskFull
from service.core.repository.repository import ModelRefused, NoSuchModel, NoSuchVersion
from service.core.repository.serving_policy import PolicyRefused, VersionInUse


@contextmanager
def as_service_errors() -> Iterator[None]:
    """Turn errors of the repository and its policies into service errors.

    Raises:
        ModelNotFound: there is no such model, or no such version of it.
        Conflict: the change is refused, or the repository cannot be read or written.
    """
    try:
        yield
    except NoSuchModel as error:
        raise ModelNotFound from error
    except NoSuchVersion as error:
        raise ModelNotFound("There is no such version of this model.") from error
    except VersionInUse as error:
        if error.is_tried:
            raise Conflict("This version is being tried: end its rollout first.") from error
        if error.label is None:
            message = "This is the default version: promote another one first."
            raise Conflict(message) from error
        message = f"This version is labelled '{error.label}': move the label first."
        raise Conflict(message) from error
    except PolicyRefused as error:
        raise Conflict(f"This cannot be done: {error}.") from error
    except DiskFull as error:
        raise Conflict("The disk of the model repository is full.") from error
    except ModelRefused as error:
        raise Conflict("A policy in the model repository cannot be read.") from error
    except OSError as error:
        raise Conflict("The server may not write its model repository.") from error
