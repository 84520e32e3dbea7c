"""`PUT /fhir/Task/<id>`: a client takes part in the life of a gap by its Task; the one resource of feeds that is written here."""

from __future__ import annotations

from flask import Blueprint, Response

from adapter.errors import Rejected, operation_outcome
from adapter.fhirserver.port import Write
from adapter.gaps.wish import not_taken
from adapter.web.fhir import answer, check_form
from adapter.web.sent import if_match, sent_resource
from adapter.web.services import services

BLUEPRINT = Blueprint("gap_tasks", __name__, url_prefix="/fhir/Task")
BLUEPRINT.before_request(check_form)


@BLUEPRINT.put("/<task_id>")
def update(task_id: str) -> Response:
    """Take a client's update of a gap's Task. 200 with the Task as it stands then; where it does not say what the client said,
    with an OperationOutcome that tells each difference."""
    sent, version = sent_resource("Task"), if_match()
    gateway = services().gateway
    gateway.gaps.check(task_id, sent)
    gateway.embedded.transaction([Write(resource_type="Task", id=task_id, body=sent,
                                        if_match=None if version is None else str(version))])
    services().wake()
    standing = gateway.embedded.read("Task", task_id)
    if standing is None:
        raise Rejected("gone", "Task")
    kept = not_taken(sent, standing)
    response = answer(operation_outcome(kept) if kept else standing)
    response.set_etag(standing["meta"]["versionId"], weak=True)
    return response
