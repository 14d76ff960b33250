-- The order of things in MySQL Proxy 0.8.5: the states of a connection on the proxy plugin and on the admin plugin.
--
-- Each step answers with what the proxy does next, as a table with `act`; front.py does it on real sockets, the tests in
-- their heads. A step out of order is an error. Steps of a connection on the proxy plugin:
--
--   connect_server  -> send (then read_auth)  | connect (then connected or connect_failed) | error
--   connect_failed  -> as connect_server, which it calls again
--   connected       -> wait (for the server's greeting)
--   read_handshake  -> forward | error
--   read_auth       -> forward | send
--   read_auth_result-> forward | send
--   read_query      -> forward | send, with close | close
--   disconnect      at any time, once
local standin = require("standin")

local machine = {}
local C = standin.constants

-- How long a backend stays DOWN before network_backends_check calls it UNKNOWN, and how often that looks, in seconds.
local DOWN_FOR, CHECK_EVERY = 4, 1

local Host = {}
Host.__index = Host

-- options: backends = { { address, "rw" or "ro" }, ... }, proxy_script, admin_script, now() in seconds
function machine.new(options)
    local host = setmetatable({
        backends = {}, scripts = {}, trace = {}, lines = {},
        now = options.now or os.time, proxy_script = options.proxy_script, admin_script = options.admin_script,
        last_check = -math.huge,
    }, Host)
    for i, given in ipairs(options.backends or {}) do
        host.backends[i] = {
            name = given[1], type = given[2] == "ro" and C.BACKEND_TYPE_RO or C.BACKEND_TYPE_RW, state = C.BACKEND_STATE_UNKNOWN,
            state_since = 0, connected_clients = 0, uuid = "", idle = {},
            pool = { max_idle_connections = 0, min_idle_connections = 0 },
        }
    end
    rawset(_G, "proxy", nil)
    standin.setup_global(host)
    return host
end

function Host:log(level, text)
    self.lines[#self.lines + 1] = level .. ": " .. text
    if self.on_log then self.on_log(level, text) end
end

local function set_state(host, backend, state)
    if backend.state ~= state then backend.state_since = host.now() end
    backend.state = state
end

-- network_backends_check: at most once a second; a state that a script wrote has an old state_since.
local function backends_check(host)
    local now = host.now()
    if now - host.last_check < CHECK_EVERY then return end
    host.last_check = now
    for _, backend in ipairs(host.backends) do
        if backend.state == C.BACKEND_STATE_DOWN and now - backend.state_since > DOWN_FOR then
            set_state(host, backend, C.BACKEND_STATE_UNKNOWN)
        end
    end
end

-- ── The proxy plugin ────────────────────────────────────────────────────────────────────────────────────────────────

local Connection = {}
Connection.__index = Connection

-- A client at `src` came to our address `dst`.
function Host:accept(src, dst)
    return setmetatable({
        host = self, state = "connect_server", backend_ndx = -1, queries = {}, connection_close = false,
        client = { src = src or "127.0.0.1:50000", dst = dst or "127.0.0.1:4040" },
    }, Connection)
end

local function at(con, ...)
    for _, state in ipairs({ ... }) do
        if con.state == state then return end
    end
    error("out of order: the connection is at " .. con.state .. ", not at " .. table.concat({ ... }, " or "), 3)
end

local function err(text, code, state)
    return { kind = "err", errcode = code or 1105, sqlstate = state or "07000", errmsg = text }
end

local FAILED_RESPONSE = "(lua) handling proxy.response failed, check error-log"

function Connection:connect_server()
    at(self, "connect_server")
    local host = self.host
    self.backend, self.backend_ndx = nil, -1
    backends_check(host)

    if host.proxy_script then
        local registered = standin.register(host, self, host.proxy_script)
        if registered ~= "success" then
            self.state = "read_auth"
            local verb = registered == "load failed" and "load" or "execute"
            return { act = "send", answers = { err("MySQL Proxy Lua script failed to " .. verb .. ". Check the error log.") } }
        end
        local _, decision = standin.hook(host, self, "connect_server")
        if decision == C.PROXY_SEND_RESULT then
            local answers = standin.response(host, self) or { err(FAILED_RESPONSE) }
            if self.server then standin.died("an answer while there is a server connection: it is never sent") end
            if #answers == 0 then standin.died("an answer without packets (g_assert)") end
            -- A greeting of the script's own is remembered as the challenge; after anything else there is none.
            if answers[1].kind == "raw" and answers[1].packet:byte() == 10 then self.client.challenge = { auth_plugin_name = "" } end
            self.state = "read_auth"
            return { act = "send", answers = answers }
        end
    end

    -- A chosen backend that is DOWN is not taken.
    local chosen = host.backends[self.backend_ndx + 1]
    if chosen and chosen.state == C.BACKEND_STATE_DOWN then self.backend_ndx = -1 end
    if self.backend_ndx < 0 then
        -- The proxy picks by itself: the RW backend that is not DOWN and has the fewest clients.
        local fewest = math.huge
        for i, backend in ipairs(host.backends) do
            if backend.state ~= C.BACKEND_STATE_DOWN and backend.type == C.BACKEND_TYPE_RW and backend.connected_clients < fewest then
                fewest, self.backend_ndx = backend.connected_clients, i - 1
            end
        end
        self.picked_by_proxy = self.backend_ndx >= 0
    end
    self.backend = host.backends[self.backend_ndx + 1]
    if not self.backend then
        self.state = "closing"
        return { act = "error", answers = { { kind = "err_pre41", errcode = 1105, errmsg = "(proxy) all backends are down" } } }
    end
    self.state = "connecting"
    return { act = "connect", index = self.backend_ndx + 1, address = self.backend.name }
end

-- connect(2) succeeded.
function Connection:connected()
    at(self, "connecting")
    self.server = { src = "127.0.0.1:1", dst = self.backend.name }
    self.backend.connected_clients = self.backend.connected_clients + 1
    set_state(self.host, self.backend, C.BACKEND_STATE_UP)
    self.state = "read_handshake"
    return { act = "wait" }
end

-- It failed, or took longer than the connect timeout: the backend is DOWN, and the script is asked again.
function Connection:connect_failed()
    at(self, "connecting")
    set_state(self.host, self.backend, C.BACKEND_STATE_DOWN)
    self.state = "connect_server"
    return self:connect_server()
end

-- The server's greeting, as a table of what scripts may ask. (An error packet in its place goes to the client as it is,
-- and no hook runs: disconnect.)
function Connection:read_handshake(challenge)
    at(self, "read_handshake")
    self.server.challenge = challenge or { auth_plugin_name = "mysql_native_password", mysqld_version = 50505, thread_id = 1, scramble_buffer = "" }
    if self.host.proxy_script then
        standin.register(self.host, self, self.host.proxy_script)
        local _, decision = standin.hook(self.host, self, "read_handshake")
        if decision == C.PROXY_SEND_RESULT or decision == C.PROXY_SEND_QUERY then
            self.state = "closing"
            return { act = "error", answers = standin.response(self.host, self) or { err(FAILED_RESPONSE) } }
        end
    end
    self.client.challenge = self.server.challenge
    self.state = "read_auth"
    return { act = "forward" }
end

-- The client's login: username, default_db, …
function Connection:read_auth(response)
    at(self, "read_auth")
    if not self.client.challenge then
        standin.died("a client that was refused by connect_server sent a packet: a null pointer in proxy_read_auth")
    end
    self.client.response = { username = response.username, scrambled_password = response.scrambled_password or "", auth_plugin_name = response.auth_plugin_name or "" }
    self.client.default_db = response.default_db or ""
    if self.host.proxy_script and standin.register(self.host, self, self.host.proxy_script) == "success" then
        local _, decision = standin.hook(self.host, self, "read_auth")
        if decision == C.PROXY_SEND_RESULT then
            -- auth_result_state was never set, which is that of an OK packet: the proxy reads commands next.
            self.state = "read_query"
            return { act = "send", answers = standin.response(self.host, self) or { err(FAILED_RESPONSE) } }
        end
    end
    if not self.server then
        self.state = "read_query"
        return { act = "send", answers = { { kind = "ok", affected_rows = 0, insert_id = 0 } } }
    end
    self.state = "read_auth_result"
    return { act = "forward" }
end

-- The server's answer to a login; more may follow (plugins that ask back).
function Connection:read_auth_result(packet)
    at(self, "read_auth_result")
    self.server.response, self.server.default_db = self.client.response, self.client.default_db
    local answers
    if self.host.proxy_script and standin.register(self.host, self, self.host.proxy_script) == "success" then
        local _, decision = standin.hook(self.host, self, "read_auth_result", { packet = packet })
        if decision == C.PROXY_SEND_RESULT then answers = standin.response(self.host, self) or { err(FAILED_RESPONSE) } end
    end
    local first = packet:byte()
    if first == 0 then
        self.state = "read_query"
    elseif first == 0xff then
        self.state = "closing"
    end
    if answers then return { act = "send", answers = answers, close = first == 0xff } end
    return { act = "forward", close = first == 0xff, state = self.state }
end

function Connection:read_query(packet)
    at(self, "read_query")
    local host = self.host
    self.queries = {}
    local decision, answers
    if host.proxy_script then
        local registered = standin.register(host, self, host.proxy_script)
        if registered ~= "success" then
            self.state = "closing"
            local verb = registered == "load failed" and "load" or "execute"
            return { act = "send", close = true, answers = { err("MySQL Proxy Lua script failed to " .. verb .. ". Check the error log.") } }
        end
        self.environment.__proxy.response = {}
        local _, returned, failed = standin.hook(host, self, "read_query", packet)
        decision = returned
        if not failed and decision == C.PROXY_SEND_RESULT then
            answers = standin.response(host, self) or { err(FAILED_RESPONSE) }
        elseif not failed and #self.queries > 0 then
            if decision == C.PROXY_SEND_QUERY then error("injected queries are not modelled") end
            host:log("critical", "proxy.queue:append() or :prepend() used without 'return proxy.PROXY_SEND_QUERY'")
        end
    end
    if answers then
        if self.connection_close then self.state = "closing" end
        return { act = "send", answers = answers, close = self.connection_close }
    end
    if not self.server then
        host:log("critical", "I have no server backend, closing connection")
        self.state = "closing"
        return { act = "close" }
    end
    self.backend.forwarded = (self.backend.forwarded or 0) + 1
    return { act = "forward", index = self.backend_ndx + 1 }
end

-- The connection ended, however.
function Connection:disconnect()
    if self.state == "gone" then error("out of order: the connection has ended before", 2) end
    if self.host.proxy_script and standin.register(self.host, self, self.host.proxy_script) == "success" then
        standin.hook(self.host, self, "disconnect_client")
    end
    -- Only a backend that was connected to has been counted.
    if self.backend and self.server then self.backend.connected_clients = self.backend.connected_clients - 1 end
    self.state, self.thread, self.environment, self.server, self.backend = "gone", nil, nil, nil, nil
    return { act = "gone" }
end

-- ── The admin plugin ────────────────────────────────────────────────────────────────────────────────────────────────

local Admin = {}
Admin.__index = Admin

-- A client that has logged in with the plugin's own user name and password.
function Host:accept_admin(src)
    return setmetatable({
        host = self, state = "read_query", backend_ndx = -1, queries = {}, connection_close = false,
        client = { src = src or "127.0.0.1:50000", dst = "127.0.0.1:4041" },
    }, Admin)
end

function Admin:read_query(packet)
    at(self, "read_query")
    local host = self.host
    local decision
    -- An empty query and LOAD never reach the script.
    if packet:byte() == C.COM_QUERY and (#packet < 2 or packet:sub(2, 6):upper() == "LOAD ") then
        self.state = "closing"
        return { act = "send", close = true, answers = { err("need a resultset + proxy.PROXY_SEND_RESULT ... got something else") } }
    end
    self.queries = {}
    local registered = standin.register(host, self, host.admin_script)
    if registered ~= "success" then
        self.state = "closing"
        local verb = registered == "load failed" and "load" or "execute"
        return { act = "send", close = true, answers = { err("MySQL Proxy Lua script failed to " .. verb .. ". Check the error log.") } }
    end
    self.environment.__proxy.response = {}
    local _, returned, failed = standin.hook(host, self, "read_query", packet)
    decision = returned
    if failed then decision = C.PROXY_SEND_QUERY end
    if decision == C.PROXY_SEND_RESULT then
        return { act = "send", answers = standin.response(host, self) or { err(FAILED_RESPONSE) } }
    end
    self.state = "closing"
    local rest = decision and " ... got something else" or ""
    return { act = "send", close = true, answers = { err("need a resultset + proxy.PROXY_SEND_RESULT" .. rest) } }
end

-- The admin plugin calls no hook at the end.
function Admin:disconnect()
    self.state = "gone"
    return { act = "gone" }
end

return machine
