package saga

import (
	"fmt"
	"strings"
)

// Diagram draws a machine in Mermaid's stateDiagram-v2, from its first state on.
// Solid lines are the flow; lines marked with a name of an error are caught.
func (m *Machine) Diagram() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	m.draw(&b, "    ")
	return b.String()
}

func (m *Machine) draw(b *strings.Builder, indent string) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(b, indent+format+"\n", args...) }
	line("[*] --> %s", m.StartAt)
	for _, name := range m.inOrder() {
		s := m.States[name]
		if s.Type == Choice {
			line("state %s <<choice>>", name)
		}
		if s.Type == Parallel {
			line("state %s {", name)
			for i, branch := range s.Branches {
				if i > 0 {
					line("    --")
				}
				branch.draw(b, indent+"    ")
			}
			line("}")
		}
		switch {
		case s.Next != "":
			line("%s --> %s", name, s.Next)
		case s.Type == Fail:
			line("%s --> [*]: fails", name)
		case s.mayEnd():
			line("%s --> [*]", name)
		}
		for _, c := range s.Choices {
			line("%s --> %s: %s", name, c.Next, label(c.When))
		}
		if s.Default != "" {
			line("%s --> %s: otherwise", name, s.Default)
		}
		for _, c := range s.Catch {
			line("%s --> %s: %s", name, c.Next, label(strings.Join(c.Errors, ", ")))
		}
	}
}

// label is a text without what Mermaid reads as its own.
func label(text string) string {
	return strings.NewReplacer("$.", "", ":", " ", ";", " ", "BooleanEquals", "is", "StringEquals", "is", "IsPresent true", "is there").Replace(text)
}

// inOrder lists the states as a walk from the first one meets them.
func (m *Machine) inOrder() (names []string) {
	seen := map[string]bool{}
	queue := []string{m.StartAt}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if seen[name] || m.States[name] == nil {
			continue
		}
		seen[name] = true
		names = append(names, name)
		queue = append(queue, m.States[name].leadsTo()...)
	}
	return names
}
