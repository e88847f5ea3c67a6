"""Damaged frames of Binance: nothing raises, and nothing is lost without a word."""

from __future__ import annotations

import json

import pytest

from pipelines.venues.binance import Binance
from tests.pipelines.venues.mutations import endure

_TRADES = [
    (
        b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1795204800115,"a":3055120001,"s":"BTCUSDT","p":"91231.40",'
        b'"q":"0.420","nq":"0.420","f":7090110001,"l":7090110009,"T":1795204800005,"m":true,"st":1}}'
    ),
    (
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1795204800070,"T":1795204800061,"s":"BTCUSDT","t":7090110011,'
        b'"p":"91231.50","q":"0.015","X":"MARKET","m":false}}'
    ),
    (
        b'{"e":"aggTrade","E":1795204800124,"s":"BTCUSDT","a":3890122007,"p":"91249.49000000","q":"0.00200000","f":5620110317,'
        b'"l":5620110317,"T":1795204800120,"m":false,"M":true}'
    ),
]
_OTHERS = [
    (
        b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":9105551200010,"s":"BTCUSDT","ps":"BTCUSDT","b":"91231.40",'
        b'"B":"8.113","a":"91231.50","A":"2.904","T":1795204800061,"E":1795204800063,"st":1}}'
    ),
    (
        b'{"stream":"btcusdt@bookTicker","data":{"u":81200033011,"s":"BTCUSDT","b":"91250.09000000","B":"3.11200000",'
        b'"a":"91250.10000000","A":"0.90210000"}}'
    ),
    (
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1795204800100,"T":1795204800094,"s":"BTCUSDT",'
        b'"ps":"BTCUSDT","U":50,"u":58,"pu":47,"b":[["91231.40","8.113"],["91231.30","0.000"]],"a":[["91232.00","1.000"]],"st":1}}'
    ),
    (
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1795204800200,"s":"BTCUSDT","U":81200033005,'
        b'"u":81200033019,"b":[["91250.00000000","0.00000000"]],"a":[["91250.10000000","0.90210000"]]}}'
    ),
    (
        b'{"lastUpdateId":9105551200000,"E":1795204800030,"T":1795204800022,"bids":[["91231.40","8.000"],["91231.30","1.200"]],'
        b'"asks":[["91231.50","2.900"],["91231.60","0.410"]]}'
    ),
    (
        b'{"stream":"btcusdt@forceOrder","data":{"e":"forceOrder","E":1795204800700,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT",'
        b'"f":"IOC","q":"0.250","p":"90760.20","ap":"91228.70","X":"FILLED","l":"0.050","z":"0.250","T":1795204800690},"st":1}}'
    ),
    (
        b'{"stream":"btcusdt@markPrice","data":{"e":"markPriceUpdate","E":1795204801000,"s":"BTCUSDT","p":"91236.10000000",'
        b'"i":"91270.44000000","r":"0.00006120","T":1795219200000,"st":1}}'
    ),
    b'{"stream":"btcusdt@depth5@100ms","data":{"lastUpdateId":81200033019,"bids":[["91250.09000000","3.1"]],"asks":[]}}',
    b'{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1795204860010,"s":"BTCUSDT","k":{"t":1795204800000}}}',
    b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1795208400000}}',
    b'{"result":null,"id":1}',
    b'{"code":2,"msg":"Invalid request","id":2}',
]
FORMS = _TRADES + _OTHERS
_CANDLE = b'[[%d,"91250.1","91262.0","91240.0","91255.0","12.5",%d,"1140721.1",%d,"6.1","556650.0","0"]]'
VENUES = [Binance("binance-spot", "spot"), Binance("binance-usdm", "usdm"), Binance("binance-coinm", "coinm")]


@pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.name)
def test_mutated_frames_are_all_accounted_for(venue: Binance) -> None:
    outcome = endure(venue, FORMS, 20_000)
    outcome += endure(venue, _TRADES, 2_000, tape="fill")
    assert all(outcome[kind] > 200 for kind in ("rows", "depths", "fundings", "faults", "ignored"))
    if venue.market == "usdm":  # the others leave what says that it is USD-M's
        assert min(outcome["quotes"], outcome["liquidations"]) > 200


@pytest.mark.parametrize("absurd", [2**63, 10**400, -1], ids=["2^63", "10^400", "-1"])
@pytest.mark.parametrize("at", range(3))
def test_absurd_figures_of_a_candle_are_told(at: int, absurd: int) -> None:
    sound = (1795204800000, 1795204859999, 20)
    assert VENUES[1].parse_klines(_CANDLE % sound).num_rows == 1
    with pytest.raises(ValueError, match="klines were malformed"):
        VENUES[1].parse_klines(_CANDLE % (*sound[:at], absurd, *sound[at + 1 :]))


@pytest.mark.parametrize("event", [_TRADES[2], *(json.dumps(json.loads(_OTHERS[k])["data"]).encode() for k in (0, 2, 5))])
def test_what_we_record_is_told_where_it_comes_in_lists(event: bytes) -> None:
    decoded = VENUES[1].decode([b"[%s]" % event, b'{"stream":"x","data":[%s]}' % event], "agg")
    assert [(fault.frame, fault.reason) for fault in decoded.faults] == [(0, "frame held no event"), (1, "frame held no event")]


@pytest.mark.parametrize("section", [b"3", b"-1", b'"1"', b"1795204800700"])
@pytest.mark.parametrize("frame", [_OTHERS[0], _OTHERS[5]])
def test_an_unknown_section_is_told(frame: bytes, section: bytes) -> None:
    assert VENUES[1].decode([frame], "agg").faults == []
    (fault,) = VENUES[1].decode([frame.replace(b'"st":1', b'"st":' + section)], "agg").faults
    assert "malformed" in fault.reason
