"""Which assets a headline is about, by ticker and by name."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

NAMES: Final = {
    "aptos": "APT",
    "avalanche": "AVAX",
    "binance coin": "BNB",
    "bitcoin": "BTC",
    "bitcoins": "BTC",
    "bitcoin cash": "BCH",
    "bnb": "BNB",
    "cardano": "ADA",
    "chainlink": "LINK",
    "dogecoin": "DOGE",
    "ether": "ETH",
    "ethereum": "ETH",
    "ethereum classic": "ETC",
    "filecoin": "FIL",
    "hedera": "HBAR",
    "litecoin": "LTC",
    "monero": "XMR",
    "polkadot": "DOT",
    "ripple": "XRP",
    "shiba inu": "SHIB",
    "solana": "SOL",
    "tether": "USDT",
    "toncoin": "TON",
    "uniswap": "UNI",
    "xrp": "XRP",
    "zcash": "ZEC",
}
PROPER: Final = frozenset({"avalanche", "ripple", "tether"})
"""Names that are words, too, unless they begin with a capital."""
ALWAYS: Final = frozenset(NAMES.values()) - {"LINK", "DOT", "FIL", "UNI"}
"""Tickers that are looked for whatever is recorded."""
_WORDS: Final = (
    "ACT AI ALL ANY APE AT BANK BE BIG BLUR CAT CITY COMP CORE COW DATA DIA EDGE FORM FUN GAME GAS GO HOME HOOK HOT ID IN IO IP "
    "IT JUST KEY LINK LIT MAGIC MASK ME MOVE NEAR NEWS NOT OG OM ON ONE OP PEOPLE PIN PORTAL PUMP REAL RED SAFE SKY SOON SPELL "
    "SUPER THE TIME TRADE TRUMP TRUST US USD WIN"
)
WORDS: Final = frozenset(_WORDS.split())
"""Tickers that a headline also writes in capitals as words: they count where they stand as $GAS or (GAS)."""
_NAME: Final = re.compile(rf"\b(?:{'|'.join(sorted(NAMES, key=len, reverse=True))})\b", re.IGNORECASE)
_WORD: Final = re.compile(r"(?<![\w$])(\$|\()?([A-Za-z0-9]{1,15})(\))?(?!\w)")
_MULTIPLIED: Final = re.compile(r"1(?:0{3,})([A-Z].*)")


def tickers(bases: Collection[str]) -> frozenset[str]:
    """Return what to look for where instruments with these base assets are recorded; of 1000PEPE it is PEPE."""
    return ALWAYS | {(found[1] if (found := _MULTIPLIED.fullmatch(base)) else base) for base in bases}


def mentioned(text: str, wanted: Collection[str]) -> set[str]:
    """Return the assets that `text` names: `wanted` by ticker, in capitals or behind a $; well-known ones by name."""
    names = [m[0] for m in _NAME.finditer(text)]
    found = {NAMES[name.lower()] for name in names if name[0].isupper() or name.lower() not in PROPER}
    shouted = not any(c.islower() for c in text)
    for mark, word, close in _WORD.findall(text):
        ticker = word.upper()
        if ticker not in wanted:
            continue
        marked = mark == "$" or (mark == "(" and close and word == ticker)
        if marked or (word == ticker and (ticker in ALWAYS or not (shouted or len(word) == 1 or ticker in WORDS))):
            found.add(ticker)
    return found
