-- One client's connection: what the script's hooks do.
--
-- The proxy lets a statement through, and picks a backend itself, where a hook fails. So no hook here fails: what goes wrong
-- inside is answered as an error, and the connection ends.
local answer = require("primacy_proxy.answer")
local backends = require("primacy_proxy.backends")
local mpp = require("primacy_proxy.mpp")
local source = require("primacy_proxy.source")

local Session = {}
Session.__index = Session

function Session.new()
    return setmetatable({ tried = {} }, Session)
end

local function log(text)
    io.stderr:write("primacy-proxy: ", text, "\n")
end

-- Runs a hook's body; a failure of ours is an answer, never a decision of the proxy.
local function guarded(self, hook, body, ...)
    local good, result = pcall(body, self, ...)
    if good then return result end
    log("(" .. hook .. ") " .. tostring(result))
    self.refused = self.refused or { answer.INTERNAL, "Primacy's script failed, see the proxy's standard error" }
    if hook == "read_query" then proxy.connection.connection_close = true end
    return answer.fail(answer.INTERNAL, "Primacy's script failed, see the proxy's standard error")
end

local function give_back(self, outcome)
    local choice = self.choice
    if not choice then return end
    self.choice = nil
    local used = source.get()
    if outcome then used:report(choice, outcome) end
    used:release(choice)
end

local function refuse(self, text)
    self.refused = { answer.NO_BACKEND, text }
    if source.settings().refuse_at == "login" then return answer.greeting() end
    return answer.fail(answer.NO_BACKEND, text)
end

-- Called when the client has come, and again each time its backend could not be connected to.
local function connect(self)
    local used = source.get()
    if self.choice then
        self.tried[self.choice.name] = self.choice
        give_back(self, "connect_failed")
    end
    local function serves(address) return used:serves(address) end
    while true do
        local choice, reason = used:select(self.tried)
        local index = choice and backends.find(choice.address)
        if index then
            self.choice = choice
            backends.assert_states(serves, index)
            proxy.connection.backend_ndx = index
            return nil
        end
        if not choice then
            backends.assert_states(serves, nil)
            return refuse(self, reason)
        end
        -- Not known to the proxy: its command line lacks an address that the configuration has.
        log(choice.name .. " is none of the proxy's backends")
        self.tried[choice.name] = choice
        used:release(choice)
    end
end

-- The login of a client that was refused. (Where there is no server the proxy would let anybody in.)
local function read_auth(self)
    if self.refused then return answer.fail(self.refused[1], self.refused[2]) end
    return nil
end

local function read_auth_result(self, auth)
    if auth.packet:byte() == proxy.MYSQLD_PACKET_OK then
        self.authenticated = true
        if self.choice then source.get():report(self.choice, "connected") end
    end
    return nil
end

-- Ends the session: the error goes out, then the proxy closes both sides.
local function eject(pair, text)
    proxy.connection.connection_close = true
    return answer.fail(pair, text)
end

local function read_query(self, packet)
    if self.refused then return eject(self.refused[1], self.refused[2]) end
    local used = source.get()
    local users = source.settings().data_port_users
    if users and self.authenticated and packet:byte() == proxy.COM_QUERY and mpp.is_command(packet:sub(2)) then
        local user = proxy.connection.client.username
        if users[user] then return mpp.answer(used, packet:sub(2)) end
    end
    if not self.choice then return eject(answer.EJECTED, "this session has no node: connect again") end
    local stays, reason = used:stays(self.choice)
    if not stays then return eject(answer.EJECTED, reason .. ": connect again") end
    return nil
end

local function disconnect(self)
    -- No greeting came on a connection that was made: the server refused it, closed it, or is hung.
    give_back(self, not self.greeted and "connect_failed" or nil)
    return nil
end

function Session:connect_server() return guarded(self, "connect_server", connect) end
function Session:read_handshake() self.greeted = true end
function Session:read_auth() return guarded(self, "read_auth", read_auth) end
function Session:read_auth_result(auth) return guarded(self, "read_auth_result", read_auth_result, auth) end
function Session:read_query(packet) return guarded(self, "read_query", read_query, packet) end
function Session:disconnect_client()
    local good, problem = pcall(disconnect, self)
    if not good then log("(disconnect_client) " .. tostring(problem)) end
end

return Session
