"""T5's encoder alone, for embeddings."""

from dataclasses import replace

from ..pooling import Pooling, pooling_files
from ..table import HFClass
from ..tensors import Drop
from ..traits import GraphTraits, Stack
from . import t5

ARCHITECTURE = replace(
    t5.ARCHITECTURE,
    name="t5encoder",
    classes=(HFClass("T5EncoderModel", "t5", t5.DEFAULTS),),
    choose=None,
    keys=(*t5.SIZES, *t5.ATTENTION_KEYS),
    family_keys=(Pooling(), *t5.CHECKS),
    tensors=(t5.EMBEDDING, *t5.stack("encoder", 1)),
    drops=(Drop(r"(decoder\..*|lm_head\.weight)", "the encoder is used alone"),),
    extras=pooling_files,
    graph=GraphTraits(stack=Stack.ENCODER, rotary=False),
)
