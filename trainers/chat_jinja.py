"""A template as transformers' ``apply_chat_template`` reads it: a checkpoint is asked as it was taught.

It writes what ``trainers.chat`` writes, for contents that are text or lists of parts. Only the breaking of control
texts is left out: what a user of a model writes is theirs.
"""

from __future__ import annotations

import json

from registry.sample import IMAGE_MARKER
from trainers.chat import Template

FILE = "chat_template.jinja"

_SAID = (
    "{% macro said(message) %}{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    f"{{{{ {json.dumps(IMAGE_MARKER + chr(10))} }}}}"
    "{% endif %}{% endfor %}"
    "{{ message['content'] | selectattr('type', 'equalto', 'text') | map(attribute='text') | join('') | trim }}"
    "{% endif %}{% endmacro %}"
)
_SPLIT = (
    "{% if messages[0]['role'] == 'system' %}{% set system = said(messages[0]) %}{% set turns = messages[1:] %}"
    "{% else %}{% set system = SYSTEM %}{% set turns = messages %}{% endif %}"
)
_VICUNA = (
    "{% if system %}{{ system + ' ' }}{% endif %}{% for message in turns %}"
    "{% if message['role'] == 'user' %}{{ 'USER: ' + said(message) + ' ASSISTANT:' }}"
    "{% else %}{{ ' ' + said(message) + '</s>' }}{% endif %}{% endfor %}"
)
_CHATML = (
    "{% if system %}{{ '<|im_start|>system\\n' + system + '<|im_end|>\\n' }}{% endif %}{% for message in turns %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + said(message) + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def jinja(form: Template) -> str | None:
    """The template in jinja; None for one that has no place for a question."""
    if not form.asks:
        return None
    turns = _CHATML if form.name.startswith("chatml") else _VICUNA
    return _SAID + _SPLIT.replace("SYSTEM", json.dumps(form.system)) + turns
