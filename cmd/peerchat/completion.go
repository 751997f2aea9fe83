package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// completed is a command as a completion script needs it.
type completed struct {
	name, help string // a command of a command is named with it: "history export"
	flags      []completedFlag
	words      []string // of its argument, or its commands
	parent     bool     // it has commands
}

type completedFlag struct {
	name, help string
	value      bool // takes one
	file       bool // which is a file or a directory
}

// model reads the commands out of kong's, so that a script never lags behind.
func completionModel(app *kong.Application) []completed { return completedOf(app.Children, "") }

// completedOf are commands, each followed by its own.
func completedOf(nodes []*kong.Node, prefix string) []completed {
	var list []completed
	for _, node := range nodes {
		c := completed{name: prefix + node.Name, help: node.Help, parent: len(node.Children) > 0}
		for _, f := range node.Flags {
			if f.Hidden {
				continue
			}
			placeholder := f.PlaceHolder
			c.flags = append(c.flags, completedFlag{
				name: "--" + f.Name, help: f.Help, value: !f.IsBool(), file: placeholder == "FILE" || placeholder == "DIR",
			})
			if f.Tag.Negatable != "" {
				c.flags = append(c.flags, completedFlag{name: "--no-" + f.Name, help: f.Help})
			}
		}
		c.flags = append(c.flags, completedFlag{name: "--help", help: "Show help."})
		for _, p := range node.Positional {
			if p.Enum != "" {
				c.words = append(c.words, p.EnumSlice()...)
			}
		}
		commands := node.Children
		if c.name == "help" {
			commands = nodes
		}
		for _, other := range commands {
			c.words = append(c.words, other.Name)
		}
		list = append(append(list, c), completedOf(node.Children, c.name+" ")...)
	}
	return list
}

// parents are the names of the commands that have commands, for a pattern of a shell's case.
func parents(commands []completed) string {
	var names []string
	for _, c := range commands {
		if c.parent {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, "|")
}

// printCompletion writes the script of a shell: bash, zsh or fish.
func printCompletion(w io.Writer, shell string, app *kong.Application) error {
	var b strings.Builder
	commands := completionModel(app)
	switch shell {
	case "bash":
		bashCompletion(&b, commands)
	case "zsh":
		zshCompletion(&b, commands)
	case "fish":
		fishCompletion(&b, commands)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func bashCompletion(b *strings.Builder, commands []completed) {
	var names []string
	for _, c := range commands {
		if !strings.Contains(c.name, " ") {
			names = append(names, c.name)
		}
	}
	fmt.Fprintf(b, `# bash completion for peerchat; load it with: source <(peerchat completion bash)
_peerchat() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=""
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "%s --help" -- "$word"))
        return
    fi
    local command=${COMP_WORDS[1]}
    case "$command" in
    %s) if [ "$COMP_CWORD" -gt 2 ]; then command="$command ${COMP_WORDS[2]}"; fi ;;
    esac
    case "$command" in
`, strings.Join(names, " "), parents(commands))
	for _, c := range commands {
		words := c.words
		var files, values []string
		for _, f := range c.flags {
			words = append(words, f.name)
			switch {
			case f.file:
				files = append(files, f.name)
			case f.value:
				values = append(values, f.name)
			}
		}
		fmt.Fprintf(b, "    \"%s\")\n", c.name)
		if len(files)+len(values) > 0 {
			b.WriteString("        case \"$before\" in\n")
			if len(files) > 0 {
				fmt.Fprintf(b, "        %s) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n", strings.Join(files, "|"))
			}
			if len(values) > 0 {
				fmt.Fprintf(b, "        %s) return ;;\n", strings.Join(values, "|"))
			}
			b.WriteString("        esac\n")
		}
		fmt.Fprintf(b, "        words=\"%s\" ;;\n", strings.Join(words, " "))
	}
	b.WriteString(`    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _peerchat peerchat
`)
}

func zshCompletion(b *strings.Builder, commands []completed) {
	b.WriteString("#compdef peerchat\n# zsh completion for peerchat; load it with: source <(peerchat completion zsh)\n")
	b.WriteString("_peerchat() {\n    if (( CURRENT == 2 )); then\n        local -a commands=(\n")
	for _, c := range commands {
		if !strings.Contains(c.name, " ") {
			fmt.Fprintf(b, "            %s\n", quote(c.name+":"+c.help))
		}
	}
	b.WriteString("        )\n        _describe command commands\n        return\n    fi\n    local command=$words[2]\n")
	fmt.Fprintf(b, "    case $command in\n    %s) (( CURRENT > 3 )) && command=\"$command $words[3]\" ;;\n    esac\n", parents(commands))
	b.WriteString("    case $command in\n")
	for _, c := range commands {
		fmt.Fprintf(b, "    \"%s\")\n        _arguments", c.name)
		for _, f := range c.flags {
			spec := "*" + f.name + "[" + strings.NewReplacer("[", "(", "]", ")", ":", ";").Replace(f.help) + "]"
			if f.file {
				spec += ":file:_files"
			} else if f.value {
				spec += ":value:"
			}
			fmt.Fprintf(b, " \\\n            %s", quote(spec))
		}
		if len(c.words) > 0 {
			fmt.Fprintf(b, " \\\n            %s", quote("2:word:("+strings.Join(c.words, " ")+")"))
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString("    esac\n}\ncompdef _peerchat peerchat\n")
}

func fishCompletion(b *strings.Builder, commands []completed) {
	b.WriteString("# fish completion for peerchat; load it with: peerchat completion fish | source\ncomplete -c peerchat -f\n")
	for _, c := range commands {
		parent, own, nested := strings.Cut(c.name, " ")
		in := "__fish_seen_subcommand_from " + parent
		switch {
		case nested:
			fmt.Fprintf(b, "complete -c peerchat -n %s -a %s -d %s\n", quote(in+"; and "+noneYet(commands, parent)), own, quote(c.help))
			in += "; and __fish_seen_subcommand_from " + own
		default:
			fmt.Fprintf(b, "complete -c peerchat -n __fish_use_subcommand -a %s -d %s\n", c.name, quote(c.help))
			if c.parent {
				in, c.words = in+"; and "+noneYet(commands, c.name), nil
			}
		}
		in = quote(in)
		for _, f := range c.flags {
			rest := ""
			if f.value {
				rest = " -x"
			}
			if f.file {
				rest = " -r -F"
			}
			fmt.Fprintf(b, "complete -c peerchat -n %s -l %s%s -d %s\n", in, strings.TrimPrefix(f.name, "--"), rest, quote(f.help))
		}
		if len(c.words) > 0 {
			fmt.Fprintf(b, "complete -c peerchat -n %s -a %s\n", in, quote(strings.Join(c.words, " ")))
		}
	}
}

// noneYet is fish's condition that none of a command's commands was given.
func noneYet(commands []completed, parent string) string {
	for _, c := range commands {
		if c.name == parent {
			return "not __fish_seen_subcommand_from " + strings.Join(c.words, " ")
		}
	}
	return "true"
}

// quote makes one word for a shell of s.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
