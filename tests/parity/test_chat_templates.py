"""Chat templates in every place they are stored: transformers finds the same ones in what is exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.parity.reference import load_tokenizer
from tests.tokenizers.variants import Draft, exported

pytestmark = pytest.mark.parity

MESSAGES = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
PLAIN = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
RAG = "{{ documents | length }} documents{% for m in messages %}|{{ m.content }}{% endfor %}"
TOOLS = "{{ tools | length }} tools{% for m in messages %}|{{ m.content }}{% endfor %}"
NAMED = [
    {"name": "default", "template": PLAIN},
    {"name": "rag", "template": RAG},
    {"name": "tool_use", "template": TOOLS},
]

PLACES: dict[str, tuple[Any, dict[str, str]]] = {
    "one in tokenizer_config.json": (PLAIN, {}),
    "several in tokenizer_config.json": (NAMED, {}),
    "chat_template.jinja": (None, {"chat_template.jinja": PLAIN}),
    "additional_chat_templates": (
        None,
        {
            "chat_template.jinja": PLAIN,
            "additional_chat_templates/rag.jinja": RAG,
            "additional_chat_templates/tool_use.jinja": TOOLS,
        },
    ),
    "none": (None, {}),
}
"""What tokenizer_config.json has, and other files."""


@pytest.mark.parametrize("place", PLACES)
def test_transformers_finds_the_templates_of_the_original(place: str, tmp_path: Path) -> None:
    stored, files = PLACES[place]
    draft = Draft("llama", tmp_path / "original")
    draft.settings.pop("chat_template", None)
    if stored is not None:
        draft.settings["chat_template"] = stored
    draft.files.update(files)
    again = exported(draft.load(pre="llama-bpe"), tmp_path / "exported", json.loads(json.dumps(draft.config)))
    original, ours = load_tokenizer(draft.directory), load_tokenizer(again)
    assert ours.chat_template == original.chat_template
    assert (ours.chat_template is None) == (place == "none")
    if place != "none":
        for name in ours.chat_template if isinstance(ours.chat_template, dict) else (None,):
            said = [
                side.apply_chat_template(
                    MESSAGES, chat_template=name, tokenize=False, documents=[{}, {}], tools=[]
                )
                for side in (ours, original)
            ]
            assert said[0] == said[1]
            assert "hi" in said[0]
