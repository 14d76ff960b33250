-- source = "push": nodes as somebody tells us by MPP commands, and nothing in this process.
--
-- Every backend of the proxy may be a node. It is uninitialized until MPP INITIALIZE names it. A session remembers its node's
-- generation, which rises when the node stops serving, and its reign, which rises when it stops being the ACTIVE one: a session
-- that slept over both a demotion and a return ends all the same.
local answer = require("primacy_proxy.answer")
local backends = require("primacy_proxy.backends")

local Pushed = {}
Pushed.__index = Pushed

local RANK = { OK = 1, OK_INFO = 2, OK_WARN = 3, OK_CRITICAL = 4, FAIL = 5, UNKNOWN = 6 }

-- settings as settings.check makes them; now() in seconds.
function Pushed.new(settings, now)
    local of_backend = {}
    for node, backend in pairs(settings.names) do of_backend[backend] = node end
    return setmetatable({
        settings = settings, now = now or os.time, of_backend = of_backend,
        -- Nodes by name, and the names in the order in which they were initialized.
        table = {}, order = {},
        -- leader: the ACTIVE node that takes clients now; active: the last one that was told, which sessions were chosen for.
        leader = nil, active = nil, changes = 0, turn = 0,
    }, Pushed)
end

-- Seconds since; a clock that was set back makes it 0.
local function since(self, at)
    return math.max(self.now() - at, 0)
end

-- A node's own address to that of its backend, and back.
function Pushed:backend_of(node)
    return self.settings.names[node] or node
end

function Pushed:name_of(backend)
    return self.of_backend[backend] or backend
end

function Pushed:nodes()
    return self.order
end

-- What a node can be now: "active", "standby", or nil and why not.
local function able(self, node)
    if node.state ~= "ACTIVE" and node.state ~= "STANDBY" then return nil end
    if RANK[node.status] > RANK[self.settings.worst_status] then return nil end
    return node.state == "ACTIVE" and "active" or "standby"
end

-- Commands --------------------------------------------------------------------------------------------------------------

local function refuse(text)
    return nil, { pair = answer.NOT_POSSIBLE, text = "MPP: " .. text }
end

-- Of several ACTIVE nodes the one that became it last has the role: a move is two commands, in whatever order they come.
local function active_of(self)
    local found
    for _, name in ipairs(self.order) do
        local node = self.table[name]
        if node.state == "ACTIVE" and (not found or node.change > found.change) then found = node end
    end
    return found
end

function Pushed:initialize(name, kind)
    if not backends.find(self:backend_of(name)) then
        return refuse("node " .. name .. " is not configured in MySQL Proxy: no backend has this address")
    end
    local node = self.table[name]
    if not node then
        node = { name = name, generation = 0, reign = 0 }
        self.table[name] = node
        self.order[#self.order + 1] = name
    end
    node.type, node.state, node.status, node.weight = kind, "UNKNOWN", "UNKNOWN", 1
    -- Not known is not demoted: sessions stay until state and status are told.
    node.blank = { STATE = true, STATUS = true }
    node.told = self.now()
    self.leader = active_of(self)
    return true
end

function Pushed:set(name, element, value)
    local node = self.table[name]
    if not node then return refuse("cannot set elements of an uninitialized node " .. name .. ": INITIALIZE comes first") end
    if element == "STATE" and node.state ~= value then
        self.changes = self.changes + 1
        node.since, node.change = self.now(), self.changes
    end
    node[element:lower()] = value
    node.blank[element] = nil
    node.told = self.now()

    if not next(node.blank) then
        local can = able(self, node)
        if node.could and not can then node.generation = node.generation + 1 end
        node.could = can
    end
    self.leader = active_of(self)
    local before = self.active
    if self.leader ~= before and (self.leader or not next(before.blank)) then
        if before then before.reign = before.reign + 1 end
        self.active = self.leader
    end
    return true
end

-- Selection -------------------------------------------------------------------------------------------------------------

local function usable(self, node, role)
    local can = able(self, node)
    if not can then return false end
    if can == "active" and node ~= self.leader then return false end
    return role == "any" or role == can
end

-- Smooth weighted round robin: each candidate gains its weight, the richest is taken and pays the sum.
local function by_turn(candidates)
    local total, best = 0, nil
    for _, node in ipairs(candidates) do
        node.credit = (node.credit or 0) + node.weight
        total = total + node.weight
        if not best or node.credit > best.credit then best = node end
    end
    best.credit = best.credit - total
    return best
end

-- The fewest of the proxy's clients per weight; equals in turn.
local function by_clients(self, candidates)
    local best, least
    self.turn = self.turn + 1
    for i = 1, #candidates do
        local node = candidates[(i + self.turn) % #candidates + 1]
        local load = proxy.global.backends[backends.find(self:backend_of(node.name))].connected_clients / node.weight
        if not least or load < least then best, least = node, load end
    end
    return best
end

local function candidates_of(self, role, tried)
    local found, drained = {}, false
    for _, name in ipairs(self.order) do
        local node = self.table[name]
        if usable(self, node, role) and not tried[name] and backends.find(self:backend_of(name)) then
            -- Weight 0 drains a reader; there is one ACTIVE node, which has nobody to leave its clients to.
            if node.weight > 0 or role == "active" then found[#found + 1] = node else drained = true end
        end
    end
    return found, drained
end

local function age_of(self)
    local newest
    for _, name in ipairs(self.order) do
        local told = self.table[name].told
        if not newest or told > newest then newest = told end
    end
    return newest and since(self, newest)
end

local function described(node)
    local text = node.state .. "/" .. node.status
    if node.since then text = text .. " since " .. os.date("!%Y-%m-%dT%H:%M:%SZ", node.since) end
    return text
end

-- The nodes in words, for an error.
local function in_words(self, tried)
    local words = {}
    for _, name in ipairs(self.order) do
        local node = self.table[name]
        local text = name .. " is " .. described(node)
        if node.weight == 0 then text = text .. " with weight 0" end
        if tried[name] then text = text .. " and cannot be connected to" end
        words[#words + 1] = text
    end
    return table.concat(words, "; ")
end

-- See source.lua.
function Pushed:select(tried)
    local role = self.settings.role
    local wanted = role == "active" and "ACTIVE node" or role == "standby" and "STANDBY node" or "node"
    if #self.order == 0 then return nil, "no " .. wanted .. ": the table is empty, no node was initialized by MPP commands yet" end
    local age = age_of(self)
    if age > self.settings.max_age and self.settings.stale == "refuse" then
        return nil, "no " .. wanted .. " is known: the last MPP command came " .. age .. " s ago"
    end

    local found = candidates_of(self, role, tried)
    if #found == 0 and role == "standby" and self.settings.fallback == "active" then
        found = candidates_of(self, "active", tried)
    end
    if #found == 0 then return nil, "no " .. wanted .. ": " .. in_words(self, tried) end

    local node
    if #found == 1 then
        node = found[1]
    elseif self.settings.strategy == "least-connections" then
        node = by_clients(self, found)
    else
        node = by_turn(found)
    end
    return { name = node.name, address = self:backend_of(node.name), generation = node.generation, reign = node.reign, as = able(self, node) }
end

-- Whether a session may go on: true, or false and why not.
function Pushed:stays(choice)
    local node = self.table[choice.name]
    local role = self.settings.role
    local can = able(self, node)
    local good = node.generation == choice.generation and (role ~= "active" or node.reign == choice.reign)
    if good and not next(node.blank) then
        good = can == role or (can and role == "any") or (can == "active" and role == "standby" and self.settings.fallback == "active")
    end
    if good then return true end
    local was = choice.as == "active" and "the ACTIVE node" or "a STANDBY node"
    return false, choice.name .. " was " .. was .. " when this session began, and is " .. described(node) .. " now"
end

-- Whether new sessions may go to the backend at this address.
function Pushed:serves(backend)
    local node = self.table[self:name_of(backend)]
    if not node then return false end
    if usable(self, node, self.settings.role) then return true end
    return self.settings.fallback == "active" and usable(self, node, "active")
end

-- Nobody is told how connections fare: the pusher sees for itself.
function Pushed:report() end
function Pushed:release() end
function Pushed:refresh() end

function Pushed:show(name, rows)
    local node = self.table[name]
    if not node then return end
    local serves = self:serves(self:backend_of(name))
    local function row(element, value) rows[#rows + 1] = { name, "mpp", element, tostring(value) } end
    row("type", node.type)
    row("state", node.state)
    row("status", node.status)
    row("weight", node.weight)
    row("serves", serves and "yes" or "no")
    row("age", since(self, node.told))
    row("stale", since(self, node.told) > self.settings.max_age and "yes" or "no")
end

return Pushed
