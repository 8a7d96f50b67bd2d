"""Settings: what the environment may say, what stops the start, and what is never shown."""

import re

import pytest

from service.settings import BadSettings, Settings, is_loopback, load_settings


def test_defaults_are_a_private_server_with_its_own_redis():
    settings = load_settings()
    assert (settings.host, settings.port, settings.workers, settings.redis_url) == ("127.0.0.1", 8080, 1, None)
    assert str(settings.data_dir) == ".data"
    assert (settings.redis_timeout_ms, settings.redis_admin_timeout_ms, settings.max_body_bytes) == (250, 2000, 1_048_576)
    assert settings.admin_token == settings.gateway_token == settings.providers == settings.mcp_clients == ()


def test_environment_is_read_and_an_option_beats_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QUOTAD_PORT", "9000")
    monkeypatch.setenv("QUOTAD_WORKERS", "2")
    settings = load_settings(port="9001", workers=None)
    assert (settings.port, settings.workers) == (9001, 2)


@pytest.mark.parametrize("text, tokens", [("one", ("one",)), ("old, new", ("old", "new")), ("a,,b,", ("a", "b"))])
def test_tokens_are_comma_separated(monkeypatch: pytest.MonkeyPatch, text: str, tokens: tuple[str, ...]):
    monkeypatch.setenv("QUOTAD_ADMIN_TOKEN", text)
    assert load_settings().admin_token == tokens


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch):
    for name in ("QUOTAD_REDIS_URL", "QUOTAD_ADMIN_TOKEN", "QUOTAD_PORT"):
        monkeypatch.setenv(name, "")
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    "name, value, complaint",
    [
        ("QUOTAD_PORT", "http", "QUOTAD_PORT is not valid: input should be a valid integer"),
        ("QUOTAD_PORT", "65536", "QUOTAD_PORT is not valid: input should be less than or equal to 65535."),
        ("QUOTAD_WORKERS", "0", "QUOTAD_WORKERS is not valid"),
        ("QUOTAD_LOG_LEVEL", "loud", "QUOTAD_LOG_LEVEL is not valid: input should be 'debug', 'info', 'warning' or 'error'."),
        ("QUOTAD_REDIS_URL", "localhost:6379", "QUOTAD_REDIS_URL is not valid: must start with redis://, rediss:// or unix://."),
        ("QUOTAD_REDIS_URL", "redis://host:port/0", "QUOTAD_REDIS_URL is not valid: must be redis://[user:"),
        ("QUOTAD_REDIS_TIMEOUT_MS", "0.5", "QUOTAD_REDIS_TIMEOUT_MS is not valid"),
        ("QUOTAD_ADMIN_TOKEN", "two words", "QUOTAD_ADMIN_TOKEN is not valid: may hold printable ASCII"),
        ("QUOTAD_ADMIN_TOKEN", "sk-bf-0000", "QUOTAD_ADMIN_TOKEN is not valid: must not start with sk-bf-"),
        ("QUOTAD_ADMIN_TOKEN", " , ", "QUOTAD_ADMIN_TOKEN is not valid: holds nothing between its commas."),
        ("QUOTAD_ADMIN_TOKEN", "shared", "QUOTAD_ADMIN_TOKEN and QUOTAD_GATEWAY_TOKEN must not share a token."),
        ("QUOTAD_PROVIDERS", "local,a/b", "QUOTAD_PROVIDERS is not valid: may hold no slash: what stands before it"),
        ("QUOTAD_PROT", "1", "QUOTAD_PROT is not a setting of quotad; did you mean QUOTAD_PORT?"),
        ("quotad_port", "1", "quotad_port is not a setting of quotad; did you mean QUOTAD_PORT?"),
        ("QUOTAD_ZZZZZZ", "", "QUOTAD_ZZZZZZ is not a setting of quotad."),
    ],
)
def test_a_bad_variable_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str):
    monkeypatch.setenv("QUOTAD_GATEWAY_TOKEN", "shared")
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings) as caught:
        load_settings()
    text = str(caught.value)
    assert text.startswith(complaint)
    assert "\n" not in text


def test_a_bad_option_is_named_as_the_option():
    with pytest.raises(BadSettings, match=r"^--redis-url is not valid: must start with"):
        load_settings(redis_url="nowhere")


@pytest.mark.parametrize("password", ["Zm9v/YmFy", "a#b", "a?b", "p@xyz/w:qrs"])
def test_a_password_that_breaks_the_url_is_not_told(password: str):
    """Nor is a part of it."""
    with pytest.raises(BadSettings, match="percent-encoded") as caught:
        load_settings(redis_url=f"redis://:{password}@redis:6379/0")
    assert not any(part in str(caught.value) for part in re.split("[^A-Za-z0-9]", password) if len(part) > 1)


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "redis://db/1"])
def test_a_cluster_has_an_address_and_one_database(url: str):
    with pytest.raises(BadSettings, match=r"^QUOTAD_REDIS_CLUSTER needs a QUOTAD_REDIS_URL"):
        load_settings(redis_url=url, redis_cluster=True)
    assert load_settings(redis_url="rediss://db/0", redis_cluster=True).redis_cluster


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_admin_token(host: str):
    assert is_loopback(host)
    Settings(host=host).require_safe_bind()


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.7", "quota.example.com", "localhost.example.com", "127.0.0.1.example.com"]
)
def test_any_other_host_needs_one(host: str):
    with pytest.raises(BadSettings, match=r"^QUOTAD_ADMIN_TOKEN is not set"):
        Settings(host=host).require_safe_bind()
    Settings(host=host, admin_token=("secret",)).require_safe_bind()


def test_secrets_are_never_shown():
    settings = Settings(
        admin_token=("first-token",),
        gateway_token=("second-token",),
        redis_url="redis://user:pass%20word@db:6380/1?health_check_interval=5",
    )
    shown = repr(settings) + str(settings) + settings.redis_display
    for secret in ("first-token", "second-token", "pass%20word", "pass word"):
        assert secret not in shown
    assert settings.redis_display == "redis://db:6380/1"
    assert set(settings.secrets) == {"first-token", "second-token", "pass%20word", "pass word"}


def test_workers_are_given_the_same_settings(monkeypatch: pytest.MonkeyPatch):
    settings = Settings(
        port=9000,
        admin_token=("a", "b"),
        redis_url="unix:///run/redis.sock",
        providers=("local",),
        log_level="debug",
        max_body_bytes=2048,
    )
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_every_setting_is_described_by_a_sentence():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description[0].isupper() or field.description.startswith("redis://"), name
        assert field.description.endswith("."), name


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1
