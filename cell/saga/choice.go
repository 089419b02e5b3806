package saga

import (
	"encoding/json"
	"math/big"
	"strings"
	"time"
)

// rule is one choice: a comparison, or And, Or, Not of rules.
type rule struct {
	and, or  []*rule
	not      *rule
	variable *path
	op       string // "StringEquals", "IsPresent"; without "Path"
	value    any
	other    *path // compared with instead of value
	next     string
}

// families of comparisons, with what each can tell apart.
var families = map[string]string{
	"String":    "Equals LessThan GreaterThan LessThanEquals GreaterThanEquals Matches",
	"Numeric":   "Equals LessThan GreaterThan LessThanEquals GreaterThanEquals",
	"Boolean":   "Equals",
	"Timestamp": "Equals LessThan GreaterThan LessThanEquals GreaterThanEquals",
	"Is":        "Null Present Numeric String Boolean Timestamp",
}

// splitOp answers family and comparison of an operator's name; "" when there is none such.
func splitOp(op string) (family, compare string) {
	for family, known := range families {
		compare, ok := strings.CutPrefix(op, family)
		if !ok {
			continue
		}
		for word := range strings.FieldsSeq(known) {
			if word == compare {
				return family, compare
			}
		}
	}
	return "", ""
}

// checkValue says what is wrong with what an operator compares with; "" is nothing.
func checkValue(op string, value any) string {
	family, compare := splitOp(op)
	switch family {
	case "Is", "Boolean":
		if _, ok := value.(bool); !ok {
			return "must be true or false"
		}
	case "String":
		s, ok := value.(string)
		if !ok {
			return "must be a string"
		}
		if compare == "Matches" {
			if _, ok := pattern(s); !ok {
				return `has a \ before something that is neither * nor \`
			}
		}
	case "Numeric":
		if _, ok := number(value); !ok {
			return "must be a number"
		}
	case "Timestamp":
		if _, ok := timestamp(value); !ok {
			return "must be an RFC 3339 time"
		}
	}
	return ""
}

// holds decides a rule. A variable that is not there fails the flow, except when
// that is what is asked.
func (r *rule) holds(data any, context contextObject) (bool, *failure) {
	switch {
	case r.and != nil:
		for _, part := range r.and {
			if ok, fault := part.holds(data, context); !ok || fault != nil {
				return false, fault
			}
		}
		return true, nil
	case r.or != nil:
		for _, part := range r.or {
			if ok, fault := part.holds(data, context); ok || fault != nil {
				return ok, fault
			}
		}
		return false, nil
	case r.not != nil:
		ok, fault := r.not.holds(data, context)
		return !ok && fault == nil, fault
	}
	left, there := r.variable.look(data, context)
	family, compare := splitOp(r.op)
	if family == "Is" && compare == "Present" {
		return there == r.value, nil
	}
	if !there {
		return false, &failure{errRuntime, "there is nothing at " + r.variable.text}
	}
	right := r.value
	if r.other != nil {
		if right, there = r.other.look(data, context); !there {
			return false, &failure{errRuntime, "there is nothing at " + r.other.text}
		}
	}
	if family == "Is" {
		return is(compare, left) == right, nil
	}
	return compared(family, compare, left, right), nil
}

func is(what string, v any) bool {
	var ok bool
	switch what {
	case "Null":
		ok = v == nil
	case "Numeric":
		_, ok = number(v)
	case "String":
		_, ok = v.(string)
	case "Boolean":
		_, ok = v.(bool)
	case "Timestamp":
		_, ok = timestamp(v)
	}
	return ok
}

// compared is false when the two are not of the operator's family.
func compared(family, compare string, left, right any) bool {
	var order int
	switch family {
	case "Boolean":
		l, isBool := left.(bool)
		r, areBool := right.(bool)
		return isBool && areBool && l == r
	case "String":
		l, isString := left.(string)
		r, areStrings := right.(string)
		if !isString || !areStrings {
			return false
		}
		if compare == "Matches" {
			parts, ok := pattern(r)
			return ok && matches(l, parts)
		}
		order = strings.Compare(l, r)
	case "Numeric":
		l, isNumber := number(left)
		r, areNumbers := number(right)
		if !isNumber || !areNumbers {
			return false
		}
		order = l.Cmp(r)
	case "Timestamp":
		l, isTime := timestamp(left)
		r, areTimes := timestamp(right)
		if !isTime || !areTimes {
			return false
		}
		order = l.Compare(r)
	}
	switch compare {
	case "Equals":
		return order == 0
	case "LessThan":
		return order < 0
	case "GreaterThan":
		return order > 0
	case "LessThanEquals":
		return order <= 0
	default:
		return order >= 0
	}
}

// maxDigits bounds the exponents of numbers that are compared exactly.
const maxDigits = 40

// number is exact: money has more digits than a float.
func number(v any) (*big.Rat, bool) {
	n, ok := v.(json.Number)
	if !ok || len(n) > maxDigits {
		return nil, false
	}
	if at := strings.IndexAny(string(n), "eE"); at >= 0 && len(n)-at > 4 { // 1e999999999 would fill the memory
		return nil, false
	}
	return new(big.Rat).SetString(string(n))
}

func timestamp(v any) (time.Time, bool) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	return at, err == nil
}

// pattern splits a StringMatches pattern at its stars; \* and \\ stand for themselves.
func pattern(text string) (parts []string, ok bool) {
	var part strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '*':
			parts = append(parts, part.String())
			part.Reset()
		case c == '\\':
			i++
			if i == len(text) || text[i] != '*' && text[i] != '\\' {
				return nil, false
			}
			part.WriteByte(text[i])
		default:
			part.WriteByte(c)
		}
	}
	return append(parts, part.String()), true
}

// matches: the parts follow each other in s, with anything in between.
func matches(s string, parts []string) bool {
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return s == first
	}
	if !strings.HasPrefix(s, first) || !strings.HasSuffix(s[len(first):], last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(s, part)
		if !found {
			return false
		}
		s = rest
	}
	return true
}
