"""The tools of the MCP server: as functions, and through the SDK's own client."""

import asyncio
import json

import pytest

from roofline.cli.mcp import TOOLS, server
from roofline.core.errors import QuestionError


def test_tools_return_the_fields_of_json():
    assert {"dgx-h100"} <= {row["name"] for row in TOOLS["list"]("systems")["systems"]}
    found = TOOLS["estimate"]("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8)
    assert found["fits"]
    assert found["interval"]["tpot_s"]
    assert TOOLS["show"]("h100", "chip")["name"] == "h100"
    assert TOOLS["train"]("llama-3.1-8b", "dgx-h100", 64, chips=8)["step_time_s"] > 0
    assert TOOLS["simulate"]("llama-3.1-8b", "dgx-h100", concurrency=4, requests=8, tp=1)["completed"] == 8
    assert TOOLS["compare"](["dgx-h100", "dgx-b200"])["ratios"]
    assert TOOLS["search"]("llama-3.1-8b", "dgx-h100", tpot="50ms", chips=8)
    assert TOOLS["launch"]("llama-3.1-8b", "dgx-h100", tp=1)["command"][0] == "vllm"
    for name, run in TOOLS.items():
        assert run.__doc__, name


def test_answers_are_json():
    for found in (
        TOOLS["estimate"]("llama-3.1-8b", "dgx-h100", tp=1),
        TOOLS["search"]("llama-3.1-8b", "dgx-h100", chips=8),
    ):
        assert json.dumps(found, allow_nan=False)


def test_one_of_rate_and_concurrency():
    with pytest.raises(QuestionError, match="exactly one of concurrency and rate"):
        TOOLS["simulate"]("llama-3.1-8b", "dgx-h100", rate=1, concurrency=2)


def test_the_sdk_s_own_client():
    client = pytest.importorskip("mcp.client").Client

    async def talk():
        async with client(server()) as session:
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            good = await session.call_tool(
                "estimate", {"model": "llama-3.1-8b", "system": "dgx-h100", "tp": 1, "concurrency": 8}
            )
            wrong = await session.call_tool("estimate", {"model": "llama-3.1-8b", "system": "dgx-h10"})
        return tools, good, wrong

    tools, good, wrong = asyncio.run(talk())
    assert set(tools) == set(TOOLS)
    assert "time per output token" in tools["estimate"].description
    assert json.loads(good.content[0].text)["model"] == "llama-3.1-8b"
    assert wrong.is_error
    assert "did you mean dgx-h100" in wrong.content[0].text
