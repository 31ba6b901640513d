import anyio, httpx2, pytest, json
from observations import keys
def test_smoke(transactional_db):
    from observations.models import Team, Project
    team=Team.objects.create(name="t"); project=Project.objects.create(team=team,name="web")
    raw=keys.create("k",["*"],team=team).raw
    from claudemem.mcp.application import application
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client
    from mcp.client.client import Client
    async def main():
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(application), base_url="http://127.0.0.1", headers={"Authorization":f"Bearer {raw}"}) as http:
            async with streamable_http_client("http://127.0.0.1/v1/mcp", http_client=http) as streams:
                async with ClientSession(*streams[:2]) as s:
                    r=await s.initialize(); print(r)
                    t=await s.list_tools(); print([x.name for x in t.tools])
                    for n,a in [("remember",{"content":"the cap is 600 seconds","title":"cap"}),("search",{"query":"cap"}),("search",{"query":"cap","brief":True}),("timeline",{}),("recent",{}),("projects",{}),("context",{"query":"cap"}),("get_observations",{"ids":["#1",2]}),("session_start_context",{}),("forget",{"id":1}),("nope",{}),("observation_record_event",{"eventType":"x"}),("search",{})]:
                        r=await s.call_tool(n,a); print(n, r.is_error, r.content[0].text)
            async with Client("http://127.0.0.1/v1/mcp") if False else anyio.CancelScope() if False else httpx2.AsyncClient(transport=httpx2.ASGITransport(application), base_url="http://127.0.0.1", headers={"Authorization":f"Bearer {raw}"}) as h2:
                H={"Accept":"application/json, text/event-stream"}
                for body in ({"jsonrpc":"2.0","id":1,"method":"tools/list"},[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}],{"jsonrpc":"2.0","method":"notifications/initialized"},{"a":1}):
                    r=await h2.post("/v1/mcp",json=body,headers=H); print(r.status_code,r.headers,r.text[:200])
                r=await h2.post("/v1/mcp",json={"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"projects","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}},headers={**H,"MCP-Protocol-Version":"2026-07-28","Mcp-Method":"tools/call","Mcp-Name":"projects"}); print(r.status_code,r.text)
                import time
                t=time.process_time()
                for _ in range(200): await h2.post("/v1/mcp",json={"jsonrpc":"2.0","id":1,"method":"ping"},headers=H)
                print("ping ms", (time.process_time()-t)*5)
    anyio.run(main)
