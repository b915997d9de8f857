/** Lines over time as an SVG picture: the same input, the same bytes. */
export interface Line {
  readonly name: string;
  /** One value for each step, from the first on. */
  readonly values: readonly number[];
  readonly dashed?: true;
}

export interface Plot {
  readonly title: string;
  readonly yTitle: string;
  /** Default: minutes. */
  readonly xTitle?: string;
  /** Minutes, or whatever `xTitle` says, between two values. */
  readonly stepMinutes: number;
  readonly lines: readonly Line[];
  /** A stretch of time that is shaded, in minutes. */
  readonly shaded?: { readonly from: number; readonly to: number; readonly name: string };
}

const WIDTH = 760;
const AREA = { left: 56, top: 40, right: 744, bottom: 296 } as const;
const LEGEND_ROW = 16;
/** Told apart also by those who do not see all colours (Okabe and Ito). */
const COLOURS = ['#000000', '#d55e00', '#e69f00', '#999999', '#56b4e9', '#0072b2', '#009e73'] as const;

const fixed = (value: number): string => String(Math.round(value * 10) / 10);

/** The step of a scale with five or so lines. */
function stepOf(range: number): number {
  const magnitude = 10 ** Math.floor(Math.log10(range / 5));
  return ([1, 2, 5, 10].find((factor) => range / (factor * magnitude) <= 6) ?? 10) * magnitude;
}

function ticks(max: number): number[] {
  const step = stepOf(max);
  return Array.from(
    { length: Math.floor(max / step + 1e-9) + 1 },
    (_, i) => Math.round(i * step * 1e6) / 1e6,
  );
}

const text = (x: number, y: number, content: string, more = ''): string =>
  `<text x="${fixed(x)}" y="${fixed(y)}"${more}>${content}</text>`;

const MIDDLE_X = (AREA.left + AREA.right) / 2;
const MIDDLE_Y = (AREA.top + AREA.bottom) / 2;

/** Where values and minutes are in the picture. */
interface Scales {
  /** Values up to here have room. */
  readonly top: number;
  readonly minutes: number;
  readonly x: (minute: number) => number;
  readonly y: (value: number) => number;
}

function scalesOf({ lines, stepMinutes }: Plot): Scales {
  const minutes = Math.max(...lines.map(({ values }) => values.length)) * stepMinutes;
  const top = Math.max(...lines.flatMap(({ values }) => values), 1e-9) * 1.08;
  return {
    top,
    minutes,
    x: (minute) => AREA.left + (minute / minutes) * (AREA.right - AREA.left),
    y: (value) => AREA.bottom - (value / top) * (AREA.bottom - AREA.top),
  };
}

function shadeOf({ shaded }: Plot, { x }: Scales): string[] {
  if (!shaded) return [];
  const [from, to] = [x(shaded.from), x(shaded.to)];
  const size = `width="${fixed(to - from)}" height="${AREA.bottom - AREA.top}"`;
  return [
    `<rect x="${fixed(from)}" y="${AREA.top}" ${size} fill="#f0e0d6"/>`,
    text((from + to) / 2, AREA.top + 14, shaded.name, ' text-anchor="middle" fill="#885533"'),
  ];
}

function axesOf({ yTitle, xTitle = 'minutes' }: Plot, { x, y, top, minutes }: Scales): string[] {
  const grid = ticks(top).flatMap((value) => [
    `<line x1="${AREA.left}" y1="${fixed(y(value))}" x2="${AREA.right}" y2="${fixed(y(value))}" stroke="#dddddd"/>`,
    text(AREA.left - 6, y(value) + 4, String(value), ' text-anchor="end"'),
  ]);
  const turned = ` transform="rotate(-90 14 ${MIDDLE_Y})" text-anchor="middle"`;
  return [
    ...grid,
    ...ticks(minutes).map((at) => text(x(at), AREA.bottom + 16, String(at), ' text-anchor="middle"')),
    text(MIDDLE_X, AREA.bottom + 32, xTitle, ' text-anchor="middle"'),
    text(14, MIDDLE_Y, yTitle, turned),
  ];
}

function curveOf({ lines, stepMinutes }: Plot, { x, y }: Scales): string[] {
  return lines.flatMap(({ name, values, dashed }, number) => {
    const points = values.map((value, step) => `${fixed(x((step + 0.5) * stepMinutes))},${fixed(y(value))}`);
    const stroke = `stroke="${COLOURS[number % COLOURS.length]}"${dashed ? ' stroke-dasharray="5 4"' : ''} stroke-width="2"`;
    const left = AREA.left + (number % 2) * 340;
    const at = AREA.bottom + 48 + Math.floor(number / 2) * LEGEND_ROW;
    return [
      `<polyline points="${points.join(' ')}" fill="none" ${stroke} stroke-linejoin="round"/>`,
      `<line x1="${left}" y1="${at}" x2="${left + 24}" y2="${at}" ${stroke}/>`,
      text(left + 30, at + 4, name),
    ];
  });
}

export function svgOf(plot: Plot): string {
  const scales = scalesOf(plot);
  const height = AREA.bottom + 48 + Math.ceil(plot.lines.length / 2) * LEGEND_ROW;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="sans-serif" font-size="12">`,
    `<title>${plot.title}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(AREA.left, 22, plot.title, ' font-size="14" font-weight="bold"'),
    ...shadeOf(plot, scales),
    ...axesOf(plot, scales),
    ...curveOf(plot, scales),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}
