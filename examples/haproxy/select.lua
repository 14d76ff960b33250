-- HAProxy (2.6 or later) asks the library where each client goes.
--
--     setenv PRIMACY_CONFIG /etc/primacy/haproxy.toml
--     lua-prepend-path /usr/local/lib/lua/5.3/?.so cpath
--     lua-load-per-thread /etc/haproxy/select.lua
--
-- haproxy-lua.cfg beside this file shows the sections that use it; docs/haproxy.md explains both.

local primacy = require "primacy"

-- How long a client waits while nobody takes it. Shorter than `tcp-request inspect-delay`, after which HAProxy gives up.
local PATIENCE_MS = 5000
-- How often a waiting client asks again, and how often sessions are looked after.
local PAUSE_MS, LOOK_MS = 20, 10
-- ER_UNKNOWN_ERROR: the others say something of the server.
local ERROR_NUMBER = 1105

-- HAProxy 2.6 gives a script no arguments.
local path = os.getenv "PRIMACY_CONFIG"
assert(path, "select.lua: say where the library's configuration is: setenv PRIMACY_CONFIG /etc/primacy/haproxy.toml")

-- Reads the configuration and no more: HAProxy may fork, change its user and its root before it runs. Every thread's state has an
-- object of its own; the engine behind it is one.
local p = assert(primacy.open(path))
local running, not_yet = false, "it has not started"

-- The last thing that was said of something, so that it is said once and not for every client.
local said = {}

local function tell(what, why)
    if said[what] ~= why then
        said[what] = why
        core.log(core.warning, ("primacy: %s: %s"):format(what, why))
    end
end

-- The library starts in the worker, in the first turn of its loop. Where another process decides for the cache (a worker that a
-- reload left behind, with on_locked = "error"), this one goes on asking until that one has ended.
local function start()
    while not running do
        local ok, why = p:start()
        if ok then
            running = true
        else
            not_yet = why
            tell("start", why)
            core.msleep(100)
        end
    end
end

-- The servers of a section by address, as HAProxy sees them now.
local function servers_of(section)
    local found = {}
    for name, server in pairs(core.backends[section].servers) do
        -- HAProxy writes IPv6 without brackets.
        found[server:get_addr()] = { name = name, server = server }
    end
    return found
end

local sections = {}

local function server_at(section, backend)
    local key = backend.host and backend.host .. ":" .. backend.port or backend.path
    local known = sections[section]
    if not known or not known[key] then
        known = servers_of(section)
        sections[section] = known
    end
    return known[key]
end

-- Open sessions of this state, by number; and by section, server and generation, for what becomes of them is the same.
local sessions, groups, last = {}, {}, 0

local function remember(selector, backend, section, place)
    local key = section .. "/" .. place.name .. "/" .. backend.generation
    local group = groups[key]
    if not group then
        group = { selector = selector, backend = backend, server = place.server, count = 0 }
        groups[key] = group
    end
    group.count = group.count + 1
    last = last + 1
    sessions[last] = { selector = selector, backend = backend, key = key }
    return last
end

local function forget(number)
    local session = sessions[number]
    if not session then return end
    sessions[number] = nil
    if not session.connected then
        session.selector:report(session.backend, "connect_failed")
    end
    session.selector:release(session.backend)
    local group = groups[session.key]
    group.count = group.count - 1
    if group.count == 0 then groups[session.key] = nil end
end

-- Ends the sessions of servers that lost their role, failed or left. Draining ones may go on until they must end: HAProxy does not know
-- when a session is idle.
local function look()
    for _, group in pairs(groups) do
        if group.selector:current(group.backend) == "ends" then
            group.server:shut_sess()
        end
    end
end

core.register_task(function()
    start()
    -- In a state of its own each thread looks after its sessions; what happened is told once.
    local events = core.thread <= 1 and p:events { kinds = { "switch" } }
    while true do
        look()
        if events then
            for event in events.next, events do
                core.log(core.notice, ("primacy: %s: %s (rule %d)"):format(event.pool, event.message, event.rule))
            end
        end
        core.msleep(LOOK_MS)
    end
end)

-- One choice: the name of the server; or nil, why, and whether it may pass.
local function choose(service, section, txn)
    if not running then return nil, not_yet, true end
    local selector, why = p:selector(service)
    if not selector then return nil, why, false end
    local backend
    backend, why = selector:select()
    if not backend then return nil, why, true end
    local place = server_at(section, backend)
    if not place then
        selector:release(backend)
        return nil, ("section %s has no server %s"):format(section, backend.address), false
    end
    txn:set_var("txn.primacy_session", remember(selector, backend, section, place))
    return place.name
end

-- tcp-request content lua.primacy SERVICE: sets txn.primacy to the name of the section's server, or answers an error and ends.
core.register_action("primacy", { "tcp-req" }, function(txn, service)
    local section, why = txn.f:be_name(), nil
    for _ = 0, PATIENCE_MS // PAUSE_MS do
        local name, passes
        name, why, passes = choose(service, section, txn)
        if name then
            txn:set_var("txn.primacy", name)
            return
        end
        if not passes then break end
        core.msleep(PAUSE_MS)
    end
    tell(service, why)
    -- MySQL's error packet, first thing on the connection, has no SQLSTATE.
    local body = "\xff" .. string.pack("<I2", ERROR_NUMBER) .. why
    txn.res:send(string.pack("<I3", #body) .. "\0" .. body)
    txn:done()
end, 1)

-- filter lua.primacy: knows when a session has its server, and when it ends.
local Session = { id = "primacy", flags = 0 }
Session.__index = Session

function Session.new()
    return setmetatable({}, Session)
end

function Session:start_analyze(txn, channel)
    if channel:is_resp() then
        local session = sessions[txn:get_var("txn.primacy_session")]
        if session and not session.connected then
            session.connected = true
            session.selector:report(session.backend, "connected")
        end
        -- Without it the end would be that of the connect, not of the data. No Lua sees those.
        filter.register_data_filter(self, channel)
    end
    return filter.CONTINUE
end

function Session:end_analyze(txn, channel)
    if channel:is_resp() then
        local number = txn:get_var("txn.primacy_session")
        if number then forget(number) end
    end
    return filter.CONTINUE
end

core.register_filter("primacy", Session, function(filter) return filter end)
