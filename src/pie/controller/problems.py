"""From an error to the reason and the message in the status of a PieProbe."""

from pie.core.parse import SpecError
from pie.core.permissions import lacks_permission
from pie.core.reasons import Reason
from pie.kube.errors import Forbidden, KubeError


def no_permission(error: Exception) -> bool:
    """Tell whether pie lacks a permission, which says nothing about the object."""
    return isinstance(error, Forbidden) and lacks_permission(error.message)


def problem(error: Exception) -> tuple[Reason, str]:
    """Return why a PieProbe cannot be set up."""
    if isinstance(error, SpecError):
        return Reason.INVALID_SPEC, str(error)
    if no_permission(error):
        return Reason.PERMISSION_MISSING, str(error)
    if isinstance(error, KubeError):
        return Reason.SETUP_FAILED, str(error)
    return Reason.SETUP_FAILED, f"defect in pie, please report it: {error!r}"
