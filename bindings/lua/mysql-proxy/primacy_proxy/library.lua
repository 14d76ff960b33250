-- source = "library": the library in this process, which probes, decides and selects.
--
-- Nothing here waits for a disk or a network but the first connection, which opens the instance and its cache. A selection is
-- made at memory speed; the MPP commands read a snapshot.
local address = require("primacy_proxy.address")
local answer = require("primacy_proxy.answer")

local Library = {}
Library.__index = Library

-- The reason that the library shows for what MPP SET has set, by which it is known again.
local REASON = "MPP SET"

local OUTCOMES = { connected = "connected", connect_failed = "connect_failed" }

-- primacy: the module, for tests; else the one that LUA_CPATH finds.
function Library.new(settings, primacy)
    primacy = primacy or require("primacy")
    local instance = assert(primacy.open(settings.config))
    assert(instance:start())
    local selector = assert(instance:selector(settings.service, { site = settings.site }))
    return setmetatable({
        settings = settings, instance = instance, selector = selector,
        pool_name = settings.service:match("^(.+)%.[^%.]+$"),
        -- The last backend object of each canonical address, and its node's name.
        given = {}, named = {},
    }, Library)
end

-- A node in words.
local function in_words(node)
    local text = node.state .. "/" .. node.status
    if node.changed_ms and node.changed_ms > 0 then
        text = text .. " since " .. os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(node.changed_ms / 1000))
    end
    if node.message and node.message ~= "" then text = text .. " (" .. node.message .. ")" end
    return text
end

-- Sessions --------------------------------------------------------------------------------------------------------------

function Library:select(tried)
    local avoid, names
    for name, choice in pairs(tried) do
        avoid, names = avoid or {}, names or {}
        avoid[#avoid + 1] = choice.backend
        names[#names + 1] = name
    end
    local backend, reason
    if avoid then
        backend, reason = self.selector:select({ avoid = avoid })
    else
        backend, reason = self.selector:select()
    end
    if not backend then
        local words = {}
        if names then words[1] = table.concat(names, ", ") .. " cannot be connected to" end
        words[#words + 1] = reason or "no node"
        self:refresh()
        for _, node in ipairs(self:known_nodes()) do words[#words + 1] = node.name .. " is " .. in_words(node) end
        return nil, table.concat(words, "; ")
    end
    local name = self.selector:node_name(backend)
    local at = address.canonical(backend.address)
    self.given[at], self.named[at] = backend, name
    return { name = name, address = at, backend = backend }
end

function Library:stays(choice)
    local word, problem = self.selector:current(choice.backend)
    if word == "stays" or word == "drains" then return true end
    if word ~= "ends" then return false, choice.name .. ": " .. tostring(problem) end
    self:refresh()
    local _, node = self:find(choice.name)
    local now = node and "it is " .. in_words(node) .. " now" or "it is no node any more"
    return false, choice.name .. " serves " .. self.settings.service .. " no more: " .. now
end

-- What was given last at this address, if it still is what it was given for. Of others nothing is known, and nothing goes
-- there until they are chosen, which makes them UNKNOWN again for the proxy.
function Library:serves(at)
    local backend = self.given[at]
    return backend ~= nil and self.selector:current(backend) == "stays"
end

function Library:report(choice, outcome)
    self.selector:report(choice.backend, OUTCOMES[outcome])
end

function Library:release(choice)
    self.selector:release(choice.backend)
end

-- Commands --------------------------------------------------------------------------------------------------------------

function Library:refresh()
    self.snapshot = assert(self.instance:snapshot())
end

-- The pool and the node of this name.
function Library:find(name)
    for _, pool in ipairs(self.snapshot.pools) do
        if (not self.pool_name or pool.name == self.pool_name) and pool.node[name] then return pool, pool.node[name] end
    end
end

-- The nodes of the service's pool; of all pools where the service does not name one.
function Library:known_nodes()
    local nodes = {}
    for _, pool in ipairs(self.snapshot.pools) do
        if not self.pool_name or pool.name == self.pool_name then
            for _, node in ipairs(pool.nodes) do nodes[#nodes + 1] = node end
        end
    end
    return nodes
end

function Library:nodes()
    local names = {}
    for i, node in ipairs(self:known_nodes()) do names[i] = node.name end
    return names
end

-- The node behind a backend's address: the one that was chosen there, the one of that name, or the only one on that host (a
-- service may have a port of its own).
function Library:name_of(at)
    if self.named[at] then return self.named[at] end
    local host, same = at:match("^(.*):%d+$"), {}
    for _, name in ipairs(self:nodes()) do
        if name == at then return name end
        if host and name:match("^(.*):%d+$") == host then same[#same + 1] = name end
    end
    return #same == 1 and same[1] or at
end

function Library:show(name, rows)
    local _, node = self:find(name)
    if not node then return end
    local function row(element, value) rows[#rows + 1] = { name, "mpp", element, tostring(value) } end
    row("type", node.type)
    row("state", node.state)
    row("status", node.status)
    row("weight", node.weight)
    if node.override then
        row("override", node.override.reason)
        if node.override.until_ms then row("override_until", os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(node.override.until_ms / 1000))) end
    end
end

local function refuse(pair, text)
    return nil, { pair = pair, text = "MPP: " .. text }
end

local function known(self, name)
    local pool, node = self:find(name)
    if pool then return pool, node end
    return nil, "node " .. name .. " is none of the library's configuration"
end

-- Whose order it is that lies on a node.
local function foreign(node)
    return node.override and node.override.reason ~= REASON
end

-- Nodes come from the configuration; what is begun anew is what SET has set.
function Library:initialize(name, kind)
    local pool, node = known(self, name)
    if not pool then return refuse(answer.NOT_POSSIBLE, node) end
    if foreign(node) then return refuse(answer.NOT_POSSIBLE, "an operator has set " .. name .. ": " .. node.override.reason) end
    if node.override then
        local done, problem = self.instance:clear_override(pool.name, name, { nowait = true })
        if not done then return refuse(answer.NOT_POSSIBLE, problem) end
        self:refresh()
        pool, node = known(self, name)
        if not pool then return refuse(answer.NOT_POSSIBLE, node) end
    end
    if node.type ~= kind then
        return refuse(answer.NOT_POSSIBLE, name .. " is " .. node.type .. " by the library's configuration; MPP SET " .. name .. " TYPE " .. kind .. " overrides it")
    end
    return true
end

-- An override for `override_for` seconds. A node has one; so what was set before is set again with it.
function Library:set(name, element, value)
    local pool, node = known(self, name)
    if not pool then return refuse(answer.NOT_POSSIBLE, node) end
    if element == "STATUS" and value == "UNKNOWN" then
        return refuse(answer.WRONG_VALUE, "STATUS of UNKNOWN is not valid beside the library: write one of OK, OK_INFO, OK_WARN, OK_CRITICAL, FAIL")
    end
    if foreign(node) then return refuse(answer.NOT_POSSIBLE, "an operator has set " .. name .. ": " .. node.override.reason) end
    local before = node.override or {}
    local order = {
        reason = REASON, limit = self.settings.override_for, nowait = true,
        state = before.state, status = before.status, type = before.type, weight = before.weight,
    }
    order[element:lower()] = value
    local done, problem = self.instance:override(pool.name, name, order)
    if not done then return refuse(answer.NOT_POSSIBLE, problem) end
    return true
end

return Library
