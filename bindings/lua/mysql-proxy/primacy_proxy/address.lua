-- Canonical addresses: every spelling of a node and of a backend comes to the same text, which is that of the library.
--
-- IPv4 is four decimal numbers, IPv6 stands in brackets and is written as RFC 5952 has it, an IPv4-mapped address is the
-- IPv4 address that it reaches, names are in lower case without a final dot, a socket is unix:/path, and a missing port
-- is 3306.
local address = {}

local DEFAULT_PORT = 3306

local function port_of(text)
    if text == nil then return DEFAULT_PORT end
    local port = text:match("^%d+$") and tonumber(text)
    if not port or port < 1 or port > 65535 then return nil end
    return port
end

-- Four decimal numbers without leading zeros (which inet_aton(3) would take for octal); nil where it is something else.
local function ipv4(text)
    local parts = { text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
    if #parts ~= 4 then return nil end
    for i, part in ipairs(parts) do
        if #part > 3 or tonumber(part) > 255 or (#part > 1 and part:sub(1, 1) == "0") then return nil end
        parts[i] = tonumber(part)
    end
    return parts
end

-- The groups of one side of a "::", the last of which may be an IPv4 address.
local function groups(text)
    local found = {}
    if text == "" then return found end
    for part in (text .. ":"):gmatch("([^:]*):") do
        local four = part:find(".", 1, true) and ipv4(part)
        if four then
            found[#found + 1] = four[1] * 256 + four[2]
            found[#found + 1] = four[3] * 256 + four[4]
        elseif part:match("^%x%x?%x?%x?$") then
            found[#found + 1] = tonumber(part, 16)
        else
            return nil
        end
    end
    return found
end

local function ipv6(text)
    local left, right = text:match("^(.-)::(.*)$")
    local whole = groups(left or text)
    if not whole then return nil end
    if left then
        local tail = groups(right)
        if not tail or #whole + #tail > 7 then return nil end
        while #whole + #tail < 8 do whole[#whole + 1] = 0 end
        for _, group in ipairs(tail) do whole[#whole + 1] = group end
    end
    if #whole ~= 8 then return nil end
    return whole
end

-- RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) as "::".
local function ipv6_text(whole)
    local best, length = nil, 1
    local i = 1
    while i <= 8 do
        local run = 0
        while i + run <= 8 and whole[i + run] == 0 do run = run + 1 end
        if run > length then best, length = i, run end
        i = i + math.max(run, 1)
    end
    local function part(from, to)
        local out = {}
        for at = from, to do out[#out + 1] = string.format("%x", whole[at]) end
        return table.concat(out, ":")
    end
    if not best then return part(1, 8) end
    return part(1, best - 1) .. "::" .. part(best + length, 8)
end

local function unix(path)
    if path:sub(1, 1) ~= "/" then return nil, "after unix: an absolute path must follow" end
    path = path:gsub("/+", "/")
    while path:find("/./", 1, true) do path = path:gsub("/%./", "/") end
    return "unix:" .. path
end

-- The canonical text of an address, or nil and what is wrong with it.
function address.canonical(text)
    if type(text) ~= "string" or text == "" then return nil, "the address is empty" end
    local path = text:match("^[Uu][Nn][Ii][Xx]:(.*)$") or (text:sub(1, 1) == "/" and text)
    if path then return unix(path) end

    local inside, rest = text:match("^%[([^%]]*)%](.*)$")
    if inside then
        local port = rest == "" and DEFAULT_PORT or (rest:sub(1, 1) == ":" and port_of(rest:sub(2)))
        if not port then return nil, "the port is not a number from 1 to 65535" end
        local whole = ipv6(inside)
        if not whole then return nil, "what stands in brackets is not an IPv6 address" end
        local mapped = whole[6] == 65535
        for i = 1, 5 do mapped = mapped and whole[i] == 0 end
        if mapped then
            return string.format("%d.%d.%d.%d:%d", math.floor(whole[7] / 256), whole[7] % 256, math.floor(whole[8] / 256), whole[8] % 256, port)
        end
        return "[" .. ipv6_text(whole) .. "]:" .. port
    end

    local host, digits = text:match("^([^:]*):([^:]*)$")
    if not host then
        if text:find(":", 1, true) then return nil, "an IPv6 address stands in brackets" end
        host = text
    end
    local port = port_of(digits)
    if not port then return nil, "the port is not a number from 1 to 65535" end
    local four = ipv4(host)
    if four then return table.concat(four, ".") .. ":" .. port end
    if host:match("^[%d%.]+$") then return nil, "an IPv4 address is four decimal numbers from 0 to 255" end
    local name = host:lower():gsub("%.$", "")
    if not name:match("^[%w_][%w_%.%-]*$") then return nil, "it is neither an address nor a name" end
    return name .. ":" .. port
end

return address
