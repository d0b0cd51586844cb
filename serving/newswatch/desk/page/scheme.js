// The tags of the bundle in service: titles, colours, thresholds and review bands.

import { get } from "/desk/api.js";

// Neighbours in the list are far apart in hue, and those near in hue differ in shade.
const GOLDEN_ANGLE = 137.508;
const SHADES = [
  { light: 0.53, dark: 0.76, chroma: 0.15 },
  { light: 0.42, dark: 0.86, chroma: 0.09 },
  { light: 0.5, dark: 0.68, chroma: 0.11 },
];

export class Scheme {
  static async load() {
    return new Scheme(await get("/v1/model"));
  }

  constructor(model) {
    this.model = model.model;
    this.tags = model.scheme.tags.map((tag, order) => ({
      name: tag.name,
      title: tag.title,
      definition: tag.definition,
      order,
      hue: ((255 + order * GOLDEN_ANGLE) % 360).toFixed(1),
      shade: SHADES[order % SHADES.length],
      ...model.thresholds[tag.name],
    }));
    this.byName = new Map(this.tags.map((tag) => [tag.name, tag]));
  }

  /** The tag of this name; a tag that only an older bundle knew has no rule. */
  tag(name) {
    return this.byName.get(name) ?? { name, title: name.replaceAll("_", " "), definition: "", order: this.tags.length, hue: "0", shade: { light: 0.45, dark: 0.75, chroma: 0 } };
  }
}

/** The tags that an article carries, and those that a person should look at: a review decides, else the prediction. */
export const standing = (prediction, review) =>
  review ? { tags: Object.keys(review.tags), unsure: [] } : { tags: prediction?.tags ?? [], unsure: prediction?.review ?? [] };

export const percent = (share) => `${(100 * share).toFixed(2)}%`;

/** A probability to two places; never 0 or 1, which no model can mean. */
export const twoPlaces = (score) => (score >= 0.995 ? ">0.99" : score < 0.005 ? "<0.01" : score.toFixed(2));

/** The CSS variables of a tag's colour. */
export const colour = ({ hue, shade }) => ({ "--hue": hue, "--light": shade.light, "--dark": shade.dark, "--chroma": shade.chroma });
