import pytest

from app.accounts.service import Accounts
from app.core.clock import FakeClock
from app.core.ids import Ids
from app.core.vault import Vault
from app.db.audit import Audit
from tests.conftest import KEY


@pytest.fixture
def vault() -> Vault:
    return Vault(KEY)


@pytest.fixture
def accounts(ids: Ids, clock: FakeClock, vault: Vault) -> Accounts:
    return Accounts(ids, clock, vault, Audit(ids, clock))
