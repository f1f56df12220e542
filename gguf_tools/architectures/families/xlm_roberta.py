"""XLM-RoBERTa: RoBERTa with a Unigram tokenizer."""

from .roberta import roberta

ARCHITECTURE = roberta("XLMRoberta", "xlm-roberta", "unigram", "t5")
