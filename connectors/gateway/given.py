"""What handlers are given: an argument of one of these types, under the name beside it.

Systems give their handlers more in the same way, as `Deps.services`.
"""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import QueryParameter

from connectors.gateway import api_keys, auth, cursors, intake, log, overload, readiness, views

Caller = NamedDependency[auth.Caller]  # caller
Log = NamedDependency[log.Log]  # log
Views = NamedDependency[views.Views]  # views
Paging = NamedDependency[cursors.Paging]  # paging; brings the parameters `cursor` and `limit`

ApiKeys = NamedDependency[api_keys.ApiKeys]  # api_keys
Intake = NamedDependency[intake.Intake]  # intake
Overload = NamedDependency[overload.Overload]  # overload
Readiness = NamedDependency[readiness.Readiness]  # readiness

Limit = Annotated[int, QueryParameter(ge=1, le=1_000)]
