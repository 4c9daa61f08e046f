"""Chat formats in use, written down by us: what they put around a turn is a fact, the templates are our own."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Format:
    """A chat format.

    Attributes:
        template: Jinja source.
        control: Control tokens of a tokenizer made for it, besides its end of sequence.
        end: What ends a reply.
        has_system: Whether it takes a system message.
        variables: What it is given besides the messages.
    """

    template: str
    control: tuple[str, ...]
    end: str
    eos: str = "</s>"
    bos: str | None = None
    has_system: bool = True
    thinks: bool | None = None
    variables: dict[str, object] = field(default_factory=dict)


CHATML = """
{%- for turn in messages -%}
<|im_start|>{{ turn.role + '\\n' + turn.content }}<|im_end|>{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant{{ '\\n' }}{%- endif -%}
"""

LLAMA3 = """
{{- bos_token -}}
{%- for turn in messages -%}
<|start_header_id|>{{ turn.role }}<|end_header_id|>{{ '\\n\\n' + (turn.content | trim) }}<|eot_id|>
{%- endfor -%}
{%- if add_generation_prompt -%}<|start_header_id|>assistant<|end_header_id|>{{ '\\n\\n' }}{%- endif -%}
"""

GEMMA = """
{{- bos_token -}}
{%- for turn in messages -%}
{%- if turn.role == 'system' -%}{{ raise_exception('this model knows no system role') }}{%- endif -%}
<start_of_turn>{{ 'model' if turn.role == 'assistant' else turn.role }}
{{- '\\n' + (turn.content | trim) }}<end_of_turn>{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<start_of_turn>model{{ '\\n' }}{%- endif -%}
"""

MISTRAL = """
{{- bos_token -}}
{%- set system = messages[0].content + '\\n\\n' if messages[0].role == 'system' else '' -%}
{%- for turn in messages if turn.role != 'system' -%}
{%- if turn.role == 'user' -%}
{{- '[INST] ' + (system if loop.first else '') + turn.content + ' [/INST]' -}}
{%- else -%}
{{- ' ' + turn.content + eos_token -}}
{%- endif -%}
{%- endfor -%}
"""

ZEPHYR = """
{%- for turn in messages -%}
{{- '<|' + turn.role + '|>\\n' + turn.content + eos_token + '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- endif -%}
"""

QWEN_THINKING = """
{%- for turn in messages -%}
{%- set content = turn.content -%}
{%- if turn.role == 'assistant' -%}
{%- set thought = '' -%}
{%- if '</think>' in content -%}
{%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\\n') -%}
{%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
{%- endif -%}
{%- if loop.last -%}{%- set content = '<think>\\n' + thought + '\\n</think>\\n\\n' + content -%}{%- endif -%}
{%- endif -%}
<|im_start|>{{ turn.role + '\\n' + content }}<|im_end|>{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant{{ '\\n' }}
{%- if enable_thinking is defined and not enable_thinking -%}{{ '<think>\\n\\n</think>\\n\\n' }}{%- endif -%}
{%- endif -%}
"""

PHI = """
{%- for turn in messages -%}
{{- '<|' + turn.role + '|>\\n' + turn.content + '<|end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- else -%}{{ eos_token }}{%- endif -%}
"""

FORMATS = {
    "ChatML": Format(template=CHATML, control=("<|im_start|>", "<|im_end|>"), end="<|im_end|>"),
    "Llama 3": Format(
        template=LLAMA3,
        control=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        end="<|eot_id|>",
        bos="<|begin_of_text|>",
        eos="<|end_of_text|>",
    ),
    "Gemma": Format(
        template=GEMMA,
        control=("<start_of_turn>", "<end_of_turn>"),
        end="<end_of_turn>",
        bos="<bos>",
        eos="<eos>",
        has_system=False,
    ),
    "Mistral": Format(template=MISTRAL, control=(), end="</s>", bos="<s>"),
    "Mistral, control tokens": Format(template=MISTRAL, control=("[INST]", "[/INST]"), end="</s>", bos="<s>"),
    "Zephyr": Format(template=ZEPHYR, control=(), end="</s>", bos="<s>"),
    "Qwen without thinking": Format(
        template=QWEN_THINKING, control=("<|im_start|>", "<|im_end|>"), end="<|im_end|>", thinks=False
    ),
    "Phi": Format(template=PHI, control=("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"), end="<|end|>"),
}
"""Those whose generation prompt is what stands before a reply; Qwen with thinking is not among them."""
