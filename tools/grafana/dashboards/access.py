"""Dashboard of sign-ins, refusals and abuse."""

from __future__ import annotations

from tools.grafana.panels import INSTANCE, Dashboard, Panel, Query, Row, Step, Unit, number

RATE = "[$__rate_interval]"


def _events(pattern: str, window: str) -> str:
    return f'potoo_audit_events_total{{{INSTANCE},event=~"{pattern}"}}{window}'


def _by_event(pattern: str) -> tuple[Query, ...]:
    return (Query(f"sum by (event) (rate({_events(pattern, RATE)}))", "{{event}}"),)


_NOW = Row(
    "The last hour",
    (
        number(
            "Sign-ins",
            "Successful sign-ins of users and clients.",
            f"sum(increase({_events('sign_in', '[1h]')}))",
            decimals=0,
        ),
        number(
            "Failed sign-ins",
            "Wrong name, password or secret.",
            f"sum(increase({_events('sign_in_failed', '[1h]')}))",
            decimals=0,
            steps=(Step(100, "orange"), Step(1000, "red")),
            alerts=("PotooPasswordGuessing",),
        ),
        number(
            "Held off",
            "Attempts refused after too many failures.",
            f"sum(increase({_events('sign_in_blocked', '[1h]')}))",
            decimals=0,
            steps=(Step(1, "orange"), Step(1000, "red")),
            alerts=("PotooPasswordGuessing",),
        ),
        number(
            "Refresh tokens used twice",
            "A token was copied, or an app refreshed twice.",
            f"sum(increase({_events('refresh_reused', '[1h]')}))",
            decimals=0,
            base="green",
            steps=(Step(0.5, "red"),),
            alerts=("PotooRefreshTokenReused",),
        ),
        number(
            "Tokens refused",
            "Missing, expired, revoked or forged access tokens per second.",
            f"sum(rate({_events('token_refused', '[5m]')}))",
            Unit.PER_SECOND,
            steps=(Step(1, "orange"),),
            alerts=("PotooTokensRefused",),
        ),
        number(
            "Issuers up",
            "Trusted issuers whose keys can be read; no data if none is configured.",
            f"sum(min by (issuer) (potoo_issuer_up{{{INSTANCE}}}))",
            alerts=("PotooIssuerDown",),
        ),
    ),
)

_DOOR = Row(
    "Sign-ins and token requests",
    (
        Panel(
            "Sign-ins",
            "Failures and successes; a few percent of typing errors are normal.",
            _by_event("sign_in|sign_in_failed|sign_in_blocked"),
            Unit.PER_SECOND,
            alerts=("PotooPasswordGuessing",),
        ),
        Panel(
            "Token requests, by outcome",
            "'issued', or the OAuth error.",
            (
                Query(
                    "sum by (grant, outcome) (rate(potoo_token_requests_total"
                    f"{{{INSTANCE}}}{RATE}))",
                    "{{grant}}: {{outcome}}",
                ),
            ),
            Unit.PER_SECOND,
            stacked=True,
            alerts=("PotooSignInUnavailable",),
        ),
        Panel(
            "Sessions",
            "Refreshed, ended and revoked.",
            _by_event("token_refreshed|refresh_failed|refresh_reused|token_revoked|session_ended"),
            Unit.PER_SECOND,
            alerts=("PotooRefreshTokenReused",),
        ),
    ),
)

_INSIDE = Row(
    "Refused",
    (
        Panel(
            "With a token",
            "Invalid token, missing scope or model, or rate limit exceeded.",
            _by_event("token_refused|scope_denied|model_denied|rate_limited"),
            Unit.PER_SECOND,
            alerts=("PotooTokensRefused",),
        ),
        Panel(
            "By HTTP status",
            "401: sign in or refresh. 403: not allowed. 429: slow down.",
            (
                Query(
                    "sum by (status) (rate(potoo_http_requests_total"
                    f'{{{INSTANCE},status=~"401|403|429"}}{RATE}))',
                    "{{status}}",
                ),
            ),
            Unit.PER_SECOND,
        ),
        Panel(
            "Abusive connections",
            "Slow or silent connections, too many of them, or not HTTP.",
            (
                Query(
                    "sum by (reason) (rate(potoo_rejections_total"
                    f'{{{INSTANCE},reason=~"slow_client|bad_http|connections|body_budget"}}{RATE}))',
                    "{{reason}}",
                ),
            ),
            Unit.PER_SECOND,
            alerts=("PotooHostileConnections",),
        ),
    ),
)

_STORES = Row(
    "Stores",
    (
        Panel(
            "Failures of stores",
            "accounts: the database; the log has the reason. rates: Redis; limits do not apply.",
            (
                Query(
                    f"sum by (store) (increase(potoo_store_failures_total{{{INSTANCE}}}[5m]))",
                    "{{store}}",
                ),
            ),
            width=24,
            alerts=("PotooStoreFails", "PotooRateStoreFails"),
        ),
    ),
)

_ADMIN = Row(
    "Administration",
    (
        Panel(
            "Accounts and keys changed",
            "Within five minutes, through the API; the security log names the account.",
            (
                Query(
                    "sum by (event) (increase("
                    + _events("account_.*|secret_changed|keys_changed", "[5m]")
                    + "))",
                    "{{event}}",
                ),
            ),
            width=12,
        ),
        Panel(
            "Trusted issuers",
            "1 while their keys can be read; the last keys stay valid for 24 hours.",
            (Query(f"min by (issuer) (potoo_issuer_up{{{INSTANCE}}})", "{{issuer}}"),),
            width=12,
            maximum=1.1,
            alerts=("PotooIssuerDown",),
        ),
    ),
)

ACCESS = Dashboard(
    "access",
    "Potoo: sign-in and abuse",
    "Sign-ins, refusals and abuse.",
    (_NOW, _DOOR, _INSIDE, _STORES, _ADMIN),
)
