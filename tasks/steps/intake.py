"""Step *intake*: the requests that the company's own systems have put in the intake source, each file once."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from prefect import task

from amun.core.params import IntakeParams
from amun.ledger import Ledger, TakenFile
from amun.ledger.demand_files import FaultyFileError, describe_faults, parse_demands
from tasks.tools.options import NETWORK_OPTIONS
from tasks.workspace.intake_files import Waiting
from tasks.workspace.intake_sources import open_source
from tasks.workspace.workspace import Workspace, open_ledger

NUM_REASONS = 1000  # faults listed beside a rejected file


@dataclass(frozen=True)
class Intake:
    """What came in, in numbers.

    Attributes:
        num_files: files taken.
        num_requests: requests that are new with them.
        num_unmatched: how many of these match nobody, and wait for a person.
        num_rejected: files that were rejected, for faults or because too many in them match nobody: no line counts.
    """

    num_files: int = 0
    num_requests: int = 0
    num_unmatched: int = 0
    num_rejected: int = 0


@task(name="intake", **NETWORK_OPTIONS)
def take_requests(workspace: Workspace) -> Intake:
    """Takes or rejects each file that waits, in one transaction with its requests, then puts it away.

    Raises:
        InputError: the source is none.
        AmunError: it does not answer; what was taken until then stays taken.
    """
    source = open_source(workspace)
    if source is None:
        return Intake()
    records = []
    with open_ledger() as ledger:
        for waiting in source.read_waiting():
            record = record_file(ledger, waiting, workspace.params.intake)
            source.put_away(waiting, record)
            records.append(record)
    taken = [record for record in records if record.reason is None]
    new = [answer for record in taken for answer in record.added if answer.is_new]
    num_unmatched = sum(answer.is_unmatched for answer in new)
    return Intake(len(taken), len(new), num_unmatched, len(records) - len(taken))


def record_file(ledger: Ledger, waiting: Waiting, intake: IntakeParams) -> TakenFile:
    """Records a file as taken, with its requests, or as rejected; one that is on record stays as it is.

    A demand that does not say when it was received was received when its file was written.
    """
    now = datetime.now(UTC)
    if known := ledger.find_file(waiting.id):
        return known
    arrived_at = min(waiting.id.modified_at, now)
    try:
        demands = parse_demands(waiting.content, now)
    except FaultyFileError as error:
        return ledger.reject_file(waiting.id, describe_faults(error.faults, NUM_REASONS), now=now)
    dated = [
        replace(demand, received_at=demand.received_at or arrived_at, num_approvals=intake.approvals)
        for demand in demands
    ]
    return ledger.take_file(waiting.id, dated, now=now, max_unmatched_share=intake.max_unmatched_share)
