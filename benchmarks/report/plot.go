package report

import (
	"cmp"
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// palette are colours that people with a colour vision deficiency tell apart (Okabe and Ito), in the order of the
// strategies: floor is grey, txiso stands out.
var palette = []color.Color{
	color.RGBA{60, 60, 60, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{230, 159, 0, 255}, color.RGBA{0, 114, 178, 255},
	color.RGBA{0, 158, 115, 255}, color.RGBA{204, 121, 167, 255}, color.RGBA{86, 180, 233, 255},
}

const (
	plotWidth  = 9 * vg.Inch
	plotHeight = 5.5 * vg.Inch
)

// Plots writes every plot that the results are enough for, each as SVG and as PNG, and returns their names.
func (r *Run) Plots(dir string, base Result) (names []string, err error) {
	same := func(tables, workers bool) []Result {
		return r.Where(func(x Result) bool {
			return (tables || x.Tables == base.Tables) && (workers || x.Workers == base.Workers) &&
				x.Rows == base.Rows && x.Statements == base.Statements && x.Strategy != "work"
		})
	}
	plots := map[string]*plot.Plot{
		"cost":       costs(same(false, false)),
		"tables":     lines(same(true, false), "tables", "time per test (ms)", func(x Result) (float64, float64) { return float64(x.Tables), milliseconds(x) }),
		"throughput": lines(same(false, true), "workers", "tests per second", func(x Result) (float64, float64) { return float64(x.Workers), x.Throughput() }),
	}
	for _, name := range []string{"cost", "tables", "throughput"} {
		for _, kind := range []string{"svg", "png"} {
			if err := save(plots[name], filepath.Join(dir, name), kind); err != nil {
				return nil, fmt.Errorf("benchmarks: cannot write a plot: %w", err)
			}
		}
	}
	return []string{"cost", "tables", "throughput"}, nil
}

// save is Plot.Save with a margin.
func save(p *plot.Plot, path, kind string) error {
	const margin = 10
	canvas, err := draw.NewFormattedCanvas(plotWidth, plotHeight, kind)
	if err != nil {
		return err
	}
	whole := draw.New(canvas)
	whole.FillPolygon(color.White, []vg.Point{{}, {X: plotWidth}, {X: plotWidth, Y: plotHeight}, {Y: plotHeight}})
	p.Draw(draw.Crop(whole, margin, -margin, margin, -margin))
	file, err := os.Create(path + "." + kind)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(file)
	return errors.Join(err, file.Close())
}

func milliseconds(r Result) float64 { return float64(r.Sample.Median()) / 1e6 }

// logarithmic makes an axis logarithmic, with room on both sides.
func logarithmic(a *plot.Axis) {
	a.Scale, a.Tick.Marker = plot.LogScale{}, powers{}
	a.Min, a.Max = a.Min/1.3, a.Max*1.3
}

// powers marks the powers of ten with their number and the multiples between them without.
type powers struct{}

func (powers) Ticks(low, high float64) (ticks []plot.Tick) {
	for exponent := math.Floor(math.Log10(low)); exponent <= math.Ceil(math.Log10(high)); exponent++ {
		for multiple := 1.0; multiple < 10; multiple++ {
			at := multiple * math.Pow(10, exponent)
			if at < low || at > high {
				continue
			}
			label := ""
			if multiple == 1 || multiple == 3 && high/low < 300 {
				label = fmt.Sprintf("%.4g", at)
			}
			ticks = append(ticks, plot.Tick{Value: at, Label: label})
		}
	}
	return ticks
}

// costs shows a dot for each strategy, with the middle half of its turns, cheapest at the top.
func costs(results []Result) *plot.Plot {
	results = slices.Clone(results)
	slices.SortFunc(results, func(a, b Result) int { return cmp.Compare(b.Sample.Median(), a.Sample.Median()) })
	p := plot.New()
	p.Title.Padding, p.Y.Padding = vg.Points(8), vg.Points(8)
	p.Title.Text = "What a test pays, " + CellTitle(results[0])
	p.X.Label.Text = "time per test (ms, logarithmic); multiple of floor beside it"
	var names []string
	for i, r := range results {
		names = append(names, r.Strategy)
		dot := plotter.XYs{{X: milliseconds(r), Y: float64(i)}}
		bar, _ := plotter.NewLine(plotter.XYs{ // two finite points are always a line
			{X: float64(r.Sample.Quantile(0.25)) / 1e6, Y: float64(i)}, {X: float64(r.Sample.Quantile(0.75)) / 1e6, Y: float64(i)}})
		bar.Width, bar.Color = 5, color.RGBA{190, 190, 190, 255}
		mark, _ := plotter.NewScatter(dot)
		mark.GlyphStyle = draw.GlyphStyle{Color: colorOf(r.Strategy), Radius: 5, Shape: draw.CircleGlyph{}}
		label, _ := plotter.NewLabels(plotter.XYLabels{XYs: dot, Labels: []string{fmt.Sprintf("%.3g ×", r.Ratio())}})
		label.Offset = vg.Point{X: 9, Y: 5}
		p.Add(bar, mark, label)
	}
	p.Add(plotter.NewGrid())
	p.NominalY(names...)
	logarithmic(&p.X)
	p.X.Max *= 1.6 // for the last label
	p.Y.Min, p.Y.Max = -0.6, float64(len(results))-0.4
	return p
}

// colorOf gives txiso the colour that it has among the lines.
func colorOf(strategy string) color.Color {
	if strings.HasPrefix(strategy, "txiso") {
		return palette[1]
	}
	return palette[3]
}

// lines shows a line for each strategy.
func lines(results []Result, x, y string, point func(Result) (float64, float64)) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.Title.Padding = title(results[0], x), vg.Points(8)
	p.X.Label.Text, p.Y.Label.Text = x, y+" (logarithmic)"
	p.Legend.Top, p.Legend.XOffs, p.Legend.YOffs = true, -vg.Points(12), -vg.Points(12)
	p.Add(plotter.NewGrid())
	var at []float64
	for i, name := range Strategies(results) {
		var xys plotter.XYs
		for _, r := range results {
			if r.Strategy == name {
				px, py := point(r)
				xys = append(xys, plotter.XY{X: px, Y: py})
				at = append(at, px)
			}
		}
		slices.SortFunc(xys, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		line, dots, err := plotter.NewLinePoints(xys)
		if err != nil {
			continue // a strategy whose results are no numbers has no line
		}
		line.Color, line.Width = palette[i%len(palette)], vg.Points(1.5)
		line.Dashes = [][]vg.Length{nil, {vg.Points(5), vg.Points(3)}}[i/len(palette)%2]
		dots.Color, dots.Shape, dots.Radius = line.Color, draw.CircleGlyph{}, vg.Points(3)
		p.Add(line, dots)
		p.Legend.Add(name, line, dots)
	}
	logarithmic(&p.Y)
	logarithmic(&p.X)
	p.X.Max *= 2.5 // room for the legend
	slices.Sort(at)
	p.X.Tick.Marker = only(slices.Compact(at))
	return p
}

// only marks the values that were measured.
func only(values []float64) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, v := range values {
		ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%g", v)})
	}
	return ticks
}

// title says what does not vary.
func title(r Result, x string) string {
	if x == "workers" {
		return fmt.Sprintf("%d tables, %d rows in each, %d statements a test", r.Tables, r.Rows, r.Statements)
	}
	return fmt.Sprintf("%d rows in each table, %d statements a test, %d %s", r.Rows, r.Statements, r.Workers, plural(r.Workers, "worker"))
}
