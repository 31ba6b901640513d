"""What the client must know of each agent before it has asked the server: a table.

Everything else about agents is known to the server, which answers in the agent's own words.
"""


class Manner:
    """How an agent's hooks are to be handled.

    `names` is the payload's field that says which event it is, `session` the one that says in
    which session. Events that `asks` holds are waited for as long as context may take, because
    the agent reads the answer; with those in `starts`, which may be a session's first, the place is
    told; those in `ends` are its last. `nothing` is printed where there is no answer of the
    server's.
    """

    __slots__ = ("asks", "ends", "names", "nothing", "session", "starts")

    def __init__(
        self,
        asks: str = "",
        starts: str = "SessionStart",
        ends: str = "SessionEnd",
        names: str = "hook_event_name",
        session: str = "session_id",
        nothing: str = "",
    ) -> None:
        self.asks = frozenset(asks.split())
        self.starts = frozenset(starts.split())
        self.ends = frozenset(ends.split())
        self.names = names
        self.session = session
        self.nothing = nothing


# Of an agent that is not listed the server is told as well; it is waited for as for a capture.
UNKNOWN = Manner()

BY_AGENT = {
    "claude-code": Manner(
        asks="SessionStart UserPromptSubmit PreToolUse PostToolUseFailure SubagentStart"
    ),
    "codex": Manner(
        asks="SessionStart UserPromptSubmit SubagentStart",
        starts="SessionStart UserPromptSubmit",
        ends="Stop",
    ),
    "cursor": Manner(
        asks="sessionStart postToolUse",
        starts="sessionStart beforeSubmitPrompt",
        ends="sessionEnd",
        session="conversation_id",
    ),
    "gemini": Manner(asks="SessionStart BeforeAgent AfterTool", starts="SessionStart BeforeAgent"),
    # It has no hook for a session's start or end: a prompt says where it is, an answer ends it.
    "windsurf": Manner(
        starts="pre_user_prompt",
        ends="post_cascade_response",
        names="agent_action_name",
        session="trajectory_id",
    ),
}


def of(agent: str) -> Manner:
    """The manner of an agent by its name in the URL."""
    return BY_AGENT.get(agent, UNKNOWN)
