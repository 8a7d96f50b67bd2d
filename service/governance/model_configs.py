"""Rules for model configs: those with counters of their own, and those of a virtual key, which are part of the key.

Inside a key the key's calendar_aligned governs and its slots count; a change of the config leaves the key's own dates alone.
"""

from dataclasses import replace

from service.entities import ModelConfig, VirtualKey
from service.governance.edits import Edited, LimitEditor
from service.governance.limits import create_limits, dated, edit_limits
from service.models.model_configs import CreateModelConfigRequest, UpdateModelConfigRequest


def create(request: CreateModelConfigRequest, *, now_ms: int, entity_id: str) -> Edited[ModelConfig]:
    """Of any scope but virtual_key."""
    editor = LimitEditor.for_new(request.calendar_aligned, now_ms=now_ms)
    config = replace(
        _new(editor, request, now_ms=now_ms, entity_id=entity_id),
        calendar_aligned=editor.aligned,
        next_slot=editor.next_slot,
    )
    return Edited(config, editor.counters())


def update(stored: ModelConfig, request: UpdateModelConfigRequest, *, now_ms: int) -> Edited[ModelConfig]:
    """Of any scope but virtual_key."""
    editor = LimitEditor.for_stored(stored, request.calendar_aligned, now_ms=now_ms)
    config = replace(_changed(editor, stored, request), calendar_aligned=editor.aligned, next_slot=editor.next_slot)
    return Edited(dated(stored, config, now_ms=now_ms), editor.counters())


def create_in_key(key: VirtualKey, request: CreateModelConfigRequest, *, now_ms: int, entity_id: str) -> Edited[VirtualKey]:
    editor = LimitEditor.for_stored(key, None, now_ms=now_ms)
    config = _new(editor, request, now_ms=now_ms, entity_id=entity_id)
    return _held(editor, key, (*key.model_configs, config))


def update_in_key(key: VirtualKey, stored: ModelConfig, request: UpdateModelConfigRequest, *, now_ms: int) -> Edited[VirtualKey]:
    editor = LimitEditor.for_stored(key, None, now_ms=now_ms)
    config = dated(stored, _changed(editor, stored, request), now_ms=now_ms)
    return _held(editor, key, tuple(config if held.id == stored.id else held for held in key.model_configs))


def remove_from_key(key: VirtualKey, stored: ModelConfig, *, now_ms: int) -> Edited[VirtualKey]:
    editor = LimitEditor.for_stored(key, None, now_ms=now_ms)
    editor.drop(stored.budgets, stored.rate_limit)
    return _held(editor, key, tuple(held for held in key.model_configs if held.id != stored.id))


def _new(editor: LimitEditor, request: CreateModelConfigRequest, *, now_ms: int, entity_id: str) -> ModelConfig:
    limits = create_limits(editor, request, keep_bare=False)
    return ModelConfig(
        id=entity_id,
        model_name=request.model_name,
        provider=request.provider,
        scope=request.resolved_scope,
        scope_id=request.resolved_scope_id,
        budgets=limits.budgets,
        rate_limit=limits.rate_limit,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
    )


def _changed(editor: LimitEditor, stored: ModelConfig, request: UpdateModelConfigRequest) -> ModelConfig:
    limits = edit_limits(editor, stored, request, keep_bare=False)
    return replace(
        stored,
        model_name=stored.model_name if request.model_name is None else request.model_name,
        provider=stored.provider if request.provider is None else request.provider,
        budgets=limits.budgets,
        rate_limit=limits.rate_limit,
    )


def _held(editor: LimitEditor, key: VirtualKey, configs: tuple[ModelConfig, ...]) -> Edited[VirtualKey]:
    return Edited(replace(key, model_configs=configs, next_slot=editor.next_slot), editor.counters())
