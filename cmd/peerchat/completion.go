package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// completed is a command as a completion script needs it.
type completed struct {
	name, help string
	flags      []completedFlag
	words      []string // of its argument
}

type completedFlag struct {
	name, help string
	value      bool // takes one
	file       bool // which is a file or a directory
}

// model reads the commands out of kong's, so that a script never lags behind.
func completionModel(app *kong.Application) []completed {
	var list []completed
	for _, node := range app.Children {
		c := completed{name: node.Name, help: node.Help}
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
			c.words = append(c.words, p.EnumSlice()...)
		}
		if node.Name == "help" {
			for _, other := range app.Children {
				c.words = append(c.words, other.Name)
			}
		}
		list = append(list, c)
	}
	return list
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
		names = append(names, c.name)
	}
	fmt.Fprintf(b, `# bash completion for peerchat; load it with: source <(peerchat completion bash)
_peerchat() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=""
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "%s --help" -- "$word"))
        return
    fi
    case "${COMP_WORDS[1]}" in
`, strings.Join(names, " "))
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
		fmt.Fprintf(b, "    %s)\n", c.name)
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
		fmt.Fprintf(b, "            %s\n", quote(c.name+":"+c.help))
	}
	b.WriteString("        )\n        _describe command commands\n        return\n    fi\n    case $words[2] in\n")
	for _, c := range commands {
		fmt.Fprintf(b, "    %s)\n        _arguments", c.name)
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
		fmt.Fprintf(b, "complete -c peerchat -n __fish_use_subcommand -a %s -d %s\n", c.name, quote(c.help))
		in := quote("__fish_seen_subcommand_from " + c.name)
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

// quote makes one word for a shell of s.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
