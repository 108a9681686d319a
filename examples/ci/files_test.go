package ci_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// github is what we need of a workflow.
type github struct {
	On   map[string]any
	Jobs map[string]struct {
		Needs    string
		Services map[string]any
		Outputs  map[string]string
		Env      map[string]string
		Steps    []struct {
			ID, Uses, Run string
			With          map[string]any
			Env           map[string]string
		}
	}
}

// gitlab is what we need of a pipeline.
type gitlab struct {
	Default   map[string]any
	Variables map[string]any
	Stages    []string
	Jobs      map[string]gitlabJob `yaml:",inline"`
}

type gitlabJob struct {
	Stage, When  string
	Parallel     int
	Cache        []map[string]any
	Variables    map[string]string
	BeforeScript []string `yaml:"before_script"`
	Script       []string
	Artifacts    map[string]any
	Coverage     string
}

// parse reads a file that has nothing we do not know, at the places that we look at.
func parse[T any](t *testing.T, file string) (into T) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return into
}

// script is the commands of a job, as the runner gives them to a shell.
func (g github) script(t *testing.T, job string) string {
	t.Helper()
	for _, step := range g.Jobs[job].Steps {
		if step.Run != "" {
			return step.Run
		}
	}
	t.Fatalf("the job %s runs nothing", job)
	return ""
}

func (j gitlabJob) script() string { return strings.Join(j.Script, "\n") }

var pinned = regexp.MustCompile(`^actions/[a-z/-]+@v\d+$`)

func TestWorkflowsOfGitHubFitTogether(t *testing.T) {
	for _, file := range []string{"github.yml", "github-service.yml"} {
		t.Run(file, func(t *testing.T) {
			workflow := parse[github](t, file)
			if len(workflow.On) == 0 || len(workflow.Jobs) == 0 {
				t.Fatalf("no workflow: %+v", workflow)
			}
			for name, job := range workflow.Jobs {
				if _, ok := workflow.Jobs[job.Needs]; job.Needs != "" && !ok {
					t.Errorf("%s needs %s, which is no job", name, job.Needs)
				}
				for _, step := range job.Steps {
					if step.Uses != "" && !pinned.MatchString(step.Uses) {
						t.Errorf("%s uses %s", name, step.Uses)
					}
					if step.Uses == "" {
						expectShell(t, name, step.Run)
					}
				}
			}
		})
	}
}

func TestPipelineOfGitLabFitsTogether(t *testing.T) {
	pipeline := parse[gitlab](t, "gitlab.yml")
	if len(pipeline.Jobs) != 3 {
		t.Errorf("the jobs are %+v", pipeline.Jobs)
	}
	for name, job := range pipeline.Jobs {
		if !slices.Contains(pipeline.Stages, job.Stage) {
			t.Errorf("%s is of stage %s, which is none of %v", name, job.Stage, pipeline.Stages)
		}
		expectShell(t, name, strings.Join(job.BeforeScript, "\n"))
		expectShell(t, name, job.script())
	}
	if shards := pipeline.Jobs["split"].Variables["SHARDS"]; shards != "4" || pipeline.Jobs["shard"].Parallel != 4 {
		t.Errorf("split into %s, run in %d", shards, pipeline.Jobs["shard"].Parallel)
	}
}

// expectShell wants commands that a shell can read and that take what comes from outside from variables: an expression
// in them would be a way to run something else.
func expectShell(t *testing.T, job, commands string) {
	t.Helper()
	if strings.Contains(commands, "${{") {
		t.Errorf("the commands of %s contain an expression:\n%s", job, commands)
	}
	check := exec.CommandContext(t.Context(), "bash", "-n")
	check.Stdin = strings.NewReader(commands)
	if out, err := check.CombinedOutput(); errors.Is(err, exec.ErrNotFound) {
		t.Skip(err)
	} else if err != nil {
		t.Errorf("the commands of %s: %v\n%s", job, err, out)
	}
}
