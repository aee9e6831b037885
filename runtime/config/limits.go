package config

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The parser, the evaluator and every walk over the syntax tree recurse, and a
// Go stack that grows past its limit ends the process. So the tokens are
// counted first. maxNesting bounds brackets and templates within each other;
// maxChain bounds all that nests without a bracket: operators in a row,
// conditionals, index after index.
const (
	maxNesting  = 100
	maxChain    = 2000
	maxExponent = 4 // digits
)

// checkNative refuses native syntax that nests too deeply.
func checkNative(src []byte, name string) hcl.Diagnostics {
	if harmless(src) {
		return nil
	}
	// Errors of the lexer are found again, and better said, by the parser.
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	return checkTokens(tokens, false)
}

// harmless reports whether src is within the limits beyond doubt. It is a tenth
// of the lexer's work, and enough for most files: those with heredocs, block
// comments, strings within templates and the like are left to the lexer.
func harmless(src []byte) bool {
	var open [maxNesting]byte // the brackets around src[i]
	var chains [maxNesting]int
	depth, chain := 0, 0 // chain is the sum of chains
	link := func(n int) {
		chains[depth] += n
		chain += n
	}
	cut := func() {
		chain -= chains[depth]
		chains[depth] = 0
	}
	for i := 0; i < len(src); i++ {
		switch c := src[i]; c {
		case '{', '[', '(':
			if c == '[' {
				link(1)
			}
			if depth == maxNesting-4 { // a string and a template fit as well
				return false
			}
			depth++
			open[depth] = c
		case '}', ']', ')':
			if depth == 0 || open[depth] != opening(c) {
				return false
			}
			cut()
			depth--
		case '"':
			end, links := harmlessString(src[i:])
			if end == 0 {
				return false
			}
			link(links)
			i += end - 1
		case '#':
			i += lineLength(src[i:]) - 1
		case ',':
			cut()
		case '\n':
			if depth == 0 || open[depth] == '{' {
				cut()
			}
		case '-', '+', '*', '%', '!', '?', '&', '|', '.', ':', '=', '>':
			link(1)
		case '/', '<':
			switch {
			case i+1 == len(src):
			case c == '/' && src[i+1] == '*', c == '<' && src[i+1] == '<':
				return false
			case c == '/' && src[i+1] == '/':
				i += lineLength(src[i:]) - 1
				continue
			}
			link(1)
		case 'e', 'E':
			if i > 0 && '0' <= src[i-1] && src[i-1] <= '9' { // may be an exponent
				return false
			}
		default:
			if c >= 0x80 {
				return false
			}
		}
		if chain > maxChain {
			return false
		}
	}
	return true
}

// harmlessString returns the length of the string that src begins with, and the
// operators in its templates; 0 if it is not simple.
func harmlessString(src []byte) (length, links int) {
	template := false
	for i := 1; i < len(src); i++ {
		switch c := src[i]; {
		case c == '\n':
			return 0, 0
		case template:
			switch c {
			case '}':
				template = false
			case '"', '{', '(', '[', '\\', '#', '/', '~':
				return 0, 0
			case '-', '+', '*', '%', '!', '?', '&', '|', '.', ':', '=', '<', '>':
				links++
			}
		case c == '\\':
			i++
		case c == '"':
			return i + 1, links
		case c == '{' && src[i-1] == '%': // may nest without a bracket
			return 0, 0
		case c == '{' && src[i-1] == '$':
			template = true
		}
	}
	return 0, 0
}

// lineLength is the length of the first line of src without its end.
func lineLength(src []byte) int {
	if n := bytes.IndexByte(src, '\n'); n >= 0 {
		return n
	}
	return len(src)
}

// level counts what one bracket holds.
type level struct {
	open  hclsyntax.TokenType
	chain int
}

func checkTokens(tokens hclsyntax.Tokens, template bool) hcl.Diagnostics {
	stack := []level{{open: hclsyntax.TokenOBrace}}
	if template {
		stack[0].open = hclsyntax.TokenOQuote
	}
	chain := 0 // the sum over stack
	for _, t := range tokens {
		top := &stack[len(stack)-1]
		link := func() { top.chain++; chain++ }
		switch t.Type {
		case hclsyntax.TokenTemplateControl:
			// %{ if } nests until its %{ endif }, which is no bracket.
			link()
			stack = append(stack, level{open: t.Type})
		case hclsyntax.TokenOBrack:
			link() // index after index
			stack = append(stack, level{open: t.Type})
		case hclsyntax.TokenOBrace, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp:
			stack = append(stack, level{open: t.Type})
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			if len(stack) > 1 {
				chain -= top.chain
				stack = stack[:len(stack)-1]
			}
		case hclsyntax.TokenComma:
			chain -= top.chain
			top.chain = 0
		case hclsyntax.TokenNewline:
			if top.open == hclsyntax.TokenOBrace {
				chain -= top.chain
				top.chain = 0
			}
		case hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent,
			hclsyntax.TokenBang, hclsyntax.TokenQuestion, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenDot,
			hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
			hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenColon, hclsyntax.TokenDoubleColon:
			link()
		case hclsyntax.TokenNumberLit:
			if i := bytes.IndexAny(t.Bytes, "eE"); i >= 0 && len(bytes.TrimLeft(t.Bytes[i+1:], "+-0")) > maxExponent {
				return tooDeep(t.Range, "Number out of range", "The exponent of this number is too large.")
			}
		}
		if len(stack) > maxNesting {
			return tooDeep(t.Range, "Nested too deeply", fmt.Sprintf("Brackets and templates may nest %d deep.", maxNesting))
		}
		if chain > maxChain {
			return tooDeep(t.Range, "Expression too long", fmt.Sprintf("One expression may have %d operators.", maxChain))
		}
	}
	return nil
}

func tooDeep(rng hcl.Range, summary, detail string) hcl.Diagnostics {
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &rng}}
}

// checkJSON refuses JSON that nests too deeply, and strings whose templates do.
func checkJSON(src []byte, name string) hcl.Diagnostics {
	depth := 0
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '{' || c == '[':
			if depth++; depth > maxNesting {
				return tooDeep(rangeAt(src, name, i, i+1), "Nested too deeply", fmt.Sprintf("Objects and arrays may nest %d deep.", maxNesting))
			}
		case c == '}' || c == ']':
			depth--
		case c == '"':
			end := stringEnd(src, i)
			text := src[i:end]
			if bytes.Contains(text, []byte("{")) || bytes.ContainsAny(text, "[.") {
				if diags := checkTemplate(text, rangeAt(src, name, i, end)); diags.HasErrors() {
					return diags
				}
			}
			i = end - 1
		case '0' <= c && c <= '9':
			end := i
			for end < len(src) && bytes.IndexByte([]byte("0123456789.eE+-"), src[end]) >= 0 {
				end++
			}
			if e := bytes.IndexAny(src[i:end], "eE"); e >= 0 && len(bytes.TrimLeft(src[i+e+1:end], "+-0")) > maxExponent {
				return tooDeep(rangeAt(src, name, i, end), "Number out of range", "The exponent of this number is too large.")
			}
			i = end - 1
		}
	}
	return nil
}

// checkTemplate checks one JSON string, which may be read as a template or as a
// reference.
func checkTemplate(quoted []byte, rng hcl.Range) hcl.Diagnostics {
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return nil // the parser reports it
	}
	tokens, _ := hclsyntax.LexTemplate([]byte(s), rng.Filename, rng.Start)
	diags := checkTokens(tokens, true)
	if !diags.HasErrors() {
		tokens, _ = hclsyntax.LexExpression([]byte(s), rng.Filename, rng.Start)
		diags = checkTokens(tokens, true)
	}
	for _, d := range diags {
		d.Subject = &rng
	}
	return diags
}

// stringEnd returns the offset after the string that begins at src[i].
func stringEnd(src []byte, i int) int {
	for i++; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '"', '\n':
			return i + 1
		}
	}
	return len(src)
}

func rangeAt(src []byte, name string, from, to int) hcl.Range {
	pos := func(at int) hcl.Pos {
		at = min(at, len(src))
		return hcl.Pos{Line: 1 + bytes.Count(src[:at], []byte("\n")), Column: at - bytes.LastIndexByte(src[:at], '\n'), Byte: at}
	}
	return hcl.Range{Filename: name, Start: pos(from), End: pos(to)}
}

func opening(closing byte) byte {
	switch closing {
	case '}':
		return '{'
	case ']':
		return '['
	}
	return '('
}
