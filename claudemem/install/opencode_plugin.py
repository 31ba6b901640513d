"""The plugin that OpenCode loads: JavaScript of our own, for there are no command hooks. Pure.

It passes on what `observations.agents.opencode` reads, waits for an answer where the model can be
told, and lets OpenCode go on whatever happens. One file serves both forms that plugins have had:
`server` is OpenCode 1's, `setup` OpenCode 2's.
"""

import json

MARK = "// Put here by `claudemem install opencode`"


def source(config: str) -> str:
    """The file's text; `config` is the path of the hook client's configuration."""
    return _SOURCE.replace("@MARK@", MARK).replace("@CONFIG@", json.dumps(config))


_SOURCE = """\
@MARK@; `claudemem uninstall opencode` takes it away.
import { readFileSync } from "node:fs"

const CONFIG = @CONFIG@
const OURS = "claude-mem"
const CAPTURE = 1000 // milliseconds
const CONTEXT = 2000
const MOST = 100 // payloads that wait, and sessions that are known

const isOff = () => /^(1|true|yes|on)$/i.test((process.env.MEM_OFF ?? "").trim())

function target() {
  const kept = JSON.parse(readFileSync(CONFIG, "utf8"))
  const named = process.env.CLAUDE_MEM_SERVER_URL
  const key = process.env.CLAUDE_MEM_SERVER_API_KEY
  // A key goes to the server that it was given with.
  return named && key ? { url: named, key } : kept
}

async function post(payload, wait) {
  if (isOff()) return {}
  try {
    const { url, key } = target()
    const answer = await fetch(url.replace(/\\/+$/, "") + "/v1/hooks/opencode", {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` },
      body: JSON.stringify(payload),
      signal: AbortSignal.timeout(wait),
    })
    return answer.ok ? await answer.json() : {}
  } catch {
    return {}
  }
}

// Captures go one after the other, so that they come in order; nobody waits for them.
let last = Promise.resolve()
let waiting = 0
function capture(payload) {
  if (waiting >= MOST) return
  waiting += 1
  last = last.then(() => post(payload, CAPTURE)).finally(() => (waiting -= 1))
}

function known() {
  const sessions = new Map()
  return (id) => {
    if (!sessions.has(id)) {
      if (sessions.size >= MOST) sessions.delete(sessions.keys().next().value)
      const state = { begun: false, said: "", message: "", told: "" }
      sessions.set(id, { ...state, asked: new Set(), done: new Set() })
    }
    return sessions.get(id)
  }
}

const begin = (id, directory, more) =>
  post({ type: "session.created", sessionID: id, directory, ...more }, CONTEXT)

// A session that was there before this process was is begun by its next prompt.
async function begun(state, id, directory) {
  if (state.begun) return
  state.begun = true
  state.told = (await begin(id, directory, { source: "resume" })).context ?? ""
}

const prompted = (id, directory, message, text, agent) =>
  ({ type: "chat.message", sessionID: id, directory, messageID: message, agent, text })

async function compacting(id, directory) {
  const asks = { type: "experimental.session.compacting", sessionID: id, directory }
  return (await post(asks, CONTEXT)).context
}

function idle(state, id, directory) {
  const { said, message } = state
  capture({ type: "session.idle", sessionID: id, directory, text: said, messageID: message })
  state.said = ""
}

async function server({ directory }) {
  const of = known()

  async function created({ info }) {
    const state = of(info.id)
    state.begun = true
    const at = info.directory ?? directory
    const answer = await begin(info.id, at, { source: "startup", parentID: info.parentID })
    state.told = answer.context ?? ""
  }

  function part({ part }) {
    const state = of(part.sessionID)
    const status = part.state?.status
    if (part.type === "text" && part.time?.end && !state.asked.has(part.messageID)) {
      state.said = part.text
      state.message = part.messageID
    }
    if (part.type !== "tool" || (status !== "completed" && status !== "error")) return
    if (state.done.has(part.callID)) return
    state.done.add(part.callID)
    capture({ type: "message.part.updated", sessionID: part.sessionID, directory, part })
  }

  return {
    event: async ({ event }) => {
      try {
        const said = event.properties ?? {}
        if (event.type === "session.created") await created(said)
        if (event.type === "message.part.updated") part(said)
        if (event.type === "session.idle") idle(of(said.sessionID), said.sessionID, directory)
        if (event.type === "session.deleted")
          capture({ type: "session.deleted", sessionID: said.info.id, directory })
      } catch {}
    },
    "chat.message": async (input, output) => {
      try {
        const texts = output.parts.filter((each) => each.type === "text" && !each.synthetic)
        const text = texts.map((each) => each.text).join("\\n")
        const id = input.sessionID
        const message = output.message.id
        of(id).asked.add(message)
        const asks = prompted(id, directory, message, text, input.agent)
        const [answer] = await Promise.all([post(asks, CONTEXT), begun(of(id), id, directory)])
        const context = [of(id).told, answer.context].filter(Boolean)
        of(id).told = ""
        if (context.length === 0) return
        output.parts.push({
          id: `prt_${OURS}_${message}`,
          sessionID: id,
          messageID: message,
          type: "text",
          text: context.join("\\n\\n"),
          synthetic: true,
        })
      } catch {}
    },
    "experimental.session.compacting": async (input, output) => {
      const context = await compacting(input.sessionID, directory)
      if (context) output.context?.push(context)
    },
  }
}

async function setup(ctx) {
  const of = known()

  async function placed(id) {
    const state = of(id)
    if (state.directory === undefined) {
      const info = await ctx.session.get({ sessionID: id }).catch(() => undefined)
      state.directory = info?.location?.directory ?? info?.directory ?? process.cwd()
    }
    return state.directory
  }

  await ctx.session.hook("prompt", async (event) => {
    try {
      const id = event.sessionID
      const at = await placed(id)
      capture(prompted(id, at, event.messageID, event.prompt.text))
      await begun(of(id), id, at)
    } catch {}
  })
  // The same in every request of a session: what differs would cost the model's cache each time.
  await ctx.session.hook("context", (event) => {
    const text = of(event.sessionID).told
    if (text) event.system.push({ type: "text", text })
  })
  await ctx.session.hook("compaction", async (event) => {
    try {
      const id = event.sessionID
      const context = await compacting(id, await placed(id))
      if (context) event.system.push({ type: "text", text: context })
    } catch {}
  })
  await ctx.tool.hook("execute.after", async (event) => {
    try {
      const id = event.sessionID
      const { status, input, error, result } = event
      const state =
        status === "error"
          ? { status, input, error: String(error?.message ?? error) }
          : { status: "completed", input, output: result?.content ?? result }
      const part = { type: "tool", callID: event.id, tool: event.tool, state }
      capture({ type: "message.part.updated", sessionID: id, directory: await placed(id), part })
    } catch {}
  })

  let open = true
  void (async () => {
    try {
      for await (const event of ctx.event.subscribe()) {
        if (!open) return
        const { sessionID: id, text } = event.data ?? {}
        if (event.type === "session.text.ended" && text) of(id).said = text
        if (event.type === "session.execution.succeeded") idle(of(id), id, await placed(id))
        if (event.type === "session.deleted")
          capture({ type: "session.deleted", sessionID: id, directory: await placed(id) })
      }
    } catch {}
  })()
  return () => {
    open = false
  }
}

export default { id: OURS, server, setup }
"""
