"""References that several parts share; a part's own stands in its file."""

HEUSEL2017 = """@inproceedings{heusel2017fid,
  title={GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium},
  author={Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and
    Hochreiter, Sepp}, booktitle={NeurIPS}, year={2017}}"""
HO2020 = """@inproceedings{ho2020ddpm,
  title={Denoising Diffusion Probabilistic Models},
  author={Ho, Jonathan and Jain, Ajay and Abbeel, Pieter},
  booktitle={NeurIPS}, year={2020}}"""
