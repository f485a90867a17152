"""Small random checkpoints of every family that is asked in words, as transformers writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from checkpoints import randomise

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_TEXT = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 64,
}
_VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
_SIZE = {"height": 32, "width": 32}


def _clip_tokenizer(longest: int) -> Any:
    words = ["!", *_LETTERS, *(f"{letter}</w>" for letter in _LETTERS)]
    vocabulary = {word: i for i, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    return transformers.CLIPTokenizer(
        vocab=vocabulary, merges=[], pad_token="!", model_max_length=longest
    )


def _bert_tokenizer() -> Any:
    """The ids of special tokens are those that Grounding DINO has in its code."""
    vocabulary = {f"[unused{i}]": i for i in range(1040)}
    for word, index in {"[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029, "[UNK]": 100}.items():
        del vocabulary[f"[unused{index}]"]
        vocabulary[word] = index
    del vocabulary["[unused0]"]
    vocabulary["[PAD]"] = 0
    for index, letter in enumerate(_LETTERS, 200):
        del vocabulary[f"[unused{index}]"], vocabulary[f"[unused{index + 100}]"]
        vocabulary[letter], vocabulary[f"##{letter}"] = index, index + 100
    return transformers.BertTokenizer(vocab=vocabulary)


def _siglip_tokenizer() -> Any:
    """Of SigLIP 2; that of SigLIP needs sentencepiece and a file of its own."""
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *_LETTERS]
    vocabulary = {word: i for i, word in enumerate(words)}
    return transformers.Siglip2Tokenizer(
        vocab=vocabulary, merges=[], model_input_names=["input_ids"]
    )


def _owl(kind: str) -> tuple[Any, Any, Any]:
    config = getattr(transformers, f"{kind}Config")(
        text_config={**_TEXT, "max_position_embeddings": 16},
        vision_config=_VISION,
        projection_dim=16,
    )
    processor = getattr(transformers, f"{kind}ImageProcessor")(size=_SIZE, crop_size=_SIZE)
    model = getattr(transformers, f"{kind}ForObjectDetection")(config)
    return model, processor, _clip_tokenizer(16)


def _grounding_dino(kind: str) -> tuple[Any, Any, Any]:
    config = getattr(transformers, f"{kind}Config")(
        backbone_config=transformers.SwinConfig(
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=4,
            image_size=96,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config={**_TEXT, "vocab_size": 1040, "model_type": "bert"},
        d_model=32,
        encoder_layers=1,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        num_queries=20,
        max_text_len=64,
    )
    processor = transformers.GroundingDinoImageProcessor(
        size={"shortest_edge": 96, "longest_edge": 160}
    )
    return getattr(transformers, f"{kind}ForObjectDetection")(config), processor, _bert_tokenizer()


def _clip() -> tuple[Any, Any, Any]:
    config = transformers.CLIPConfig(
        text_config={**_TEXT, "max_position_embeddings": 77, "eos_token_id": 54},
        vision_config=_VISION,
        projection_dim=16,
    )
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=_SIZE)
    return transformers.CLIPModel(config), processor, _clip_tokenizer(77)


def _siglip(kind: str) -> tuple[Any, Any, Any]:
    vision = dict(_VISION)
    processor: Any = transformers.SiglipImageProcessor(size=_SIZE)
    if kind == "Siglip2":
        vision["num_patches"] = 16
        del vision["image_size"]
        processor = transformers.Siglip2ImageProcessor(patch_size=8, max_num_patches=16)
    config = getattr(transformers, f"{kind}Config")(
        text_config={**_TEXT, "max_position_embeddings": 64, "projection_size": 16},
        vision_config=vision,
    )
    return getattr(transformers, f"{kind}Model")(config), processor, _siglip_tokenizer()


_FAMILIES: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "owlvit": lambda: _owl("OwlViT"),
    "owlv2": lambda: _owl("Owlv2"),
    "grounding-dino": lambda: _grounding_dino("GroundingDino"),
    "mm-grounding-dino": lambda: _grounding_dino("MMGroundingDino"),
    "clip": _clip,
    "siglip": lambda: _siglip("Siglip"),
    "siglip2": lambda: _siglip("Siglip2"),
}


def build(family: str, folder: Path) -> None:
    """Write a checkpoint with random weights, its image processor and its tokenizer."""
    torch.manual_seed(0)
    for part in _FAMILIES[family]():
        if isinstance(part, torch.nn.Module):
            randomise(part)
        part.save_pretrained(folder)
