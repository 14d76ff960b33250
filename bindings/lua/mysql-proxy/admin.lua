-- Primacy for MySQL Proxy's admin plugin: --admin-lua-script=admin.lua, with --lua-path=.../?.lua for the modules beside it.
-- It speaks the MPP commands, and what the proxy's own script speaks: SELECT * FROM backends, SELECT * FROM help.
local answer = require("primacy_proxy.answer")
local mpp = require("primacy_proxy.mpp")
local backends = require("primacy_proxy.backends")
local source = require("primacy_proxy.source")

local STATES = { [0] = "unknown", "up", "down" }
local TYPES = { [0] = "unknown", "rw", "ro" }

local function show_backends()
    local rows = {}
    for i = 1, backends.count() do
        local backend = proxy.global.backends[i]
        rows[i] = { i, backend.dst.name, STATES[backend.state], TYPES[backend.type], backend.uuid, backend.connected_clients }
    end
    return answer.rows({ "backend_ndx", "address", "state", "type", "uuid", "connected_clients" }, rows)
end

local HELP = {
    { "MPP SHOW ALL", "shows the backends and what is known of their nodes" },
    { "MPP INITIALIZE node TYPE type", "begins a node's entry: PRIMARY or SECONDARY" },
    { "MPP SET node TYPE|STATE|STATUS|WEIGHT value", "sets one element of a node" },
    { "SELECT * FROM backends", "lists the backends and their state" },
    { "SELECT * FROM help", "shows this help" },
}

local function query(text)
    if mpp.is_command(text) then return mpp.answer(source.get(), text) end
    local plain = text:lower():gsub("%s+", " "):gsub("^ ", ""):gsub("[ ;]+$", "")
    if plain == "select * from backends" then return show_backends() end
    if plain == "select * from help" then return answer.rows({ "command", "description" }, HELP) end
    -- What client programs and connectors ask by themselves when they log in.
    if plain:match("^select @@version_comment") then return answer.rows({ "@@version_comment" }, { { "MySQL Proxy with Primacy" } }) end
    if plain:match("^set ") or plain == "commit" or plain == "rollback" then return answer.ok() end
    return answer.fail(answer.SYNTAX, "unknown: SELECT * FROM help shows the commands")
end

function read_query(packet)
    local command = packet:byte()
    if command == proxy.COM_PING or command == proxy.COM_INIT_DB or command == proxy.COM_QUIT then return answer.ok() end
    if command ~= proxy.COM_QUERY then return answer.fail(answer.NOT_POSSIBLE, "only text queries are spoken here") end
    local good, result = pcall(query, packet:sub(2))
    if good then return result end
    io.stderr:write("primacy-proxy: (admin) ", tostring(result), "\n")
    return answer.fail(answer.INTERNAL, "Primacy's script failed: " .. tostring(result))
end
