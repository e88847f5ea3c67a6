"""Ports of tests stay theirs, whatever else runs."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests.ports import BLOCKS, free_ports

DYNAMIC = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_no_port_is_given_twice_or_is_one_of_connections() -> None:
    ports = free_ports(20)
    assert len({*ports, *(port + 1 for port in ports)}) == 40
    assert max(ports) + 1 < int(DYNAMIC.read_text().split()[0])


def test_two_processes_have_no_port_in_common() -> None:
    script = "from tests.ports import free_ports; print(free_ports(1)[0])"
    (mine,) = free_ports(1)
    root = Path(__file__).parents[1]
    other = int(subprocess.run([sys.executable, "-c", script], cwd=root, check=True, capture_output=True).stdout)
    assert mine // 500 != other // 500


def test_a_port_in_use_is_passed_over() -> None:
    (port,) = free_ports(1)
    once_round = BLOCKS.step // 2
    with socket.create_server(("127.0.0.1", port + 1)):
        assert port not in free_ports(once_round)
    assert port in free_ports(once_round)
