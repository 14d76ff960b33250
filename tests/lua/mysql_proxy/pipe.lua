-- Values over a pipe: numbers, strings of any bytes, booleans, nil, lists and tables with names, in the manner of
-- bencoding. Every message is one value.
local pipe = {}

local function encode(value, out)
    local kind = type(value)
    if kind == "nil" then
        out[#out + 1] = "n"
    elseif kind == "boolean" then
        out[#out + 1] = value and "t" or "f"
    elseif kind == "number" then
        out[#out + 1] = string.format("i%de", value)
    elseif kind == "string" then
        out[#out + 1] = #value .. ":"
        out[#out + 1] = value
    elseif kind == "table" and (value.n or #value > 0 or next(value) == nil) then
        out[#out + 1] = "l"
        for i = 1, value.n or #value do
            encode(value[i], out)
        end
        out[#out + 1] = "e"
    elseif kind == "table" then
        out[#out + 1] = "d"
        for key, held in pairs(value) do
            encode(tostring(key), out)
            encode(held, out)
        end
        out[#out + 1] = "e"
    else
        error("a " .. kind .. " does not go over a pipe")
    end
end

-- A list that may hold nil carries its length as `n`.
function pipe.encode(value)
    local out = {}
    encode(value, out)
    return table.concat(out)
end

local function exactly(input, length)
    if length == 0 then return "" end
    local text = input:read(length)
    if not text or #text ~= length then error("the pipe ended") end
    return text
end

local decode

local function decode_after(input, first)
    if first == "n" then return nil end
    if first == "t" then return true end
    if first == "f" then return false end
    if first == "i" then
        local digits = ""
        while true do
            local byte = exactly(input, 1)
            if byte == "e" then return tonumber(digits) end
            digits = digits .. byte
        end
    end
    if first == "l" or first == "d" then
        local made, count = {}, 0
        while true do
            local byte = exactly(input, 1)
            if byte == "e" then return made end
            local held = decode_after(input, byte)
            if first == "d" then
                made[held] = decode(input)
            else
                count = count + 1
                made[count] = held
            end
        end
    end
    local digits = first
    while true do
        local byte = exactly(input, 1)
        if byte == ":" then return exactly(input, tonumber(digits)) end
        digits = digits .. byte
    end
end

function decode(input)
    return decode_after(input, exactly(input, 1))
end

-- The next value, or nil and true at the end of the input.
function pipe.decode(input)
    local first = input:read(1)
    if not first then return nil, true end
    return decode_after(input, first)
end

return pipe
